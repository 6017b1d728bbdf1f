// Mycc is millrace with a congestion control of one's own: proved by its test, raced in virtual
// time, and run on a NIC, each time the same object code. It has all the commands of millrace,
// and --cc knows one algorithm more.
//
//	go test                                        what every algorithm must pass
//	go run . sim --cc mycc,cubic                   race it against CUBIC
//	go run . sim --cc mycc,cubic --html race.html  and plot it
//	go run . sim card --cc mycc                    hold it against RFC 9743
//	go run . serve chargen --cc mycc --nic IF      send with it, over AF_XDP (root)
package main

import "github.com/millrace-tcp/millrace/cmd/millrace/command"

func main() { command.Main(algorithms()) }
