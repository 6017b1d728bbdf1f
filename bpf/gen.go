// Package bpf is the XDP program of millrace, written in C (xdp.c), and what bpf2go makes
// of it: the object for both byte orders, and Go types for its maps and counters. The
// generated files are committed, so that building needs no clang. No behaviour is here:
// package loader loads, attaches and feeds the program.
//
// To make them again, install clang, llvm and libbpf-dev (Debian's names).
package bpf

// The two directories hold asm/types.h on Debian; a directory that is missing is ignored.
//go:generate go tool bpf2go -go-package bpf -target bpfel,bpfeb -type counter Millrace xdp.c -- -O2 -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
