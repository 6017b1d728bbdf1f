package millrace_test

import (
	"log"
	"net/http"

	"github.com/millrace-tcp/millrace"
)

// A web server on eth0. Everything but port 8080 stays with the kernel.
func Example() {
	nic, err := millrace.Open("eth0", millrace.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer nic.Close()
	l, err := nic.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, http.FileServer(http.Dir("."))))
}
