// Package spin has the rules by which a stack decides whether to look for what comes next, to
// sleep until it is woken, or to leave the looking to who waits for it. Each goes by what came
// of it before:
//
//   - [Turns]: does a connection take turns with its peer, so that who waits had better look?
//   - [Answers]: how long to look for the answer of such a peer?
//   - [Newcomers]: to look for what comes of connections too new to be known?
//   - [Bulk]: to look for the next frames of data that comes in bulk?
//   - [Alone]: to leave bulk data to the one reader that it is for?
//   - [Watch]: how often to see after readers that have frames wake nobody?
//
// They are told what happened, and read no clock. None may be used by two goroutines at once.
package spin
