//go:build !linux

package main

import (
	"errors"

	"github.com/urfave/cli/v2"
)

func needsLinux(*cli.Context) error {
	return failed(errors.New("a lab is made of Linux's network namespaces: it needs Linux"))
}

var labUp, labExec, labDown, labMatrix, labClassify, labPeer = needsLinux, needsLinux, needsLinux, needsLinux, needsLinux, needsLinux
