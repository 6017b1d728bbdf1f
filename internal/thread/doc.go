// Package thread is what those who spin do with the thread that they spin on.
package thread
