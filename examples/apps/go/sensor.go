// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const last = "/data/last"

// Healthy is who wrote a value in the last minute.
func check() int {
	info, err := os.Stat(last)
	if err != nil || time.Since(info.ModTime()) > time.Minute {
		return 1
	}
	return 0
}

func measure() {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	if err := os.WriteFile(last, []byte(load+"\n"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Println("load", load)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--check" {
		os.Exit(check())
	}
	// The first process of an app is not ended by a signal that it has no handler for.
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	for {
		measure()
		select {
		case <-end:
			return
		case <-time.After(10 * time.Second):
		}
	}
}
