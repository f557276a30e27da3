// Command bnntool trains binary neural networks, converts them for the device and runs them there.
//
//	bnntool train [RECIPE]         train a network and convert it; the default recipe needs no data
//	bnntool eval FILE              accuracy of a checkpoint or an artifact
//	bnntool convert CKPT -o OUT    a checkpoint as an artifact for the device
//	bnntool convert HUBDIR -o OUT  a mixture of experts, in the hub's files, as a store with compressed weights
//	bnntool predict MODEL IMAGE... the classes of pictures
//	bnntool inspect WHAT           layers, parameters, operations and bytes
//	bnntool bench MODEL            how fast an artifact is on this machine, layer by layer
//	bnntool bench kernels          how fast the 1-bit convolutions are
//	bnntool experts synth          a folder of the hub with random weights, to try the above at true size
//	bnntool doctor                 which kernels are in use and why, and whether they compute what they should
//	bnntool recipes                the recipes that are part of the program
//
// Besides what people read, train, eval and convert end with a line of key=value pairs. The exit code is 0 when all is
// done, 1 when the data or a file is at fault, 2 for wrong usage, 130 when interrupted (a training is saved).
//
// With the build tag device only eval, predict, inspect, bench and doctor are there, for artifacts alone: nothing of the training
// is linked.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A reader that goes away must not kill a training: writing returns an error in place of the signal.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the next one ends the program at once
	}()
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
