// Go's gorilla/websocket in the middle of a message that the server does not take: which close code does it learn?
//
//	closing URL BYTES TRIES
//
// prints a line for each try: the code, or what came instead of one.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// How long one try may take.
const patience = 8 * time.Second

func main() {
	url := os.Args[1]
	size, _ := strconv.Atoi(os.Args[2])
	tries, _ := strconv.Atoi(os.Args[3])
	message := bytes.Repeat([]byte("a"), size)
	for count := 0; count < tries; count++ {
		fmt.Println(learn(url, message))
	}
}

func learn(url string, message []byte) string {
	// A frame is as long as this buffer at most, and the message is to be one frame.
	dialer := websocket.Dialer{WriteBufferSize: len(message) + 1024, HandshakeTimeout: patience}
	socket, _, err := dialer.Dial(url, nil)
	if err != nil {
		return fmt.Sprintf("no connection (%v)", err)
	}
	defer socket.Close()
	failed := make(chan error, 1)
	go func() { failed <- socket.WriteMessage(websocket.BinaryMessage, message) }()

	socket.SetReadDeadline(time.Now().Add(patience))
	_, _, err = socket.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case err == nil:
		return "a message came back"
	case errors.As(err, &closed):
		return strconv.Itoa(closed.Code)
	}
	select {
	case sending := <-failed:
		return fmt.Sprintf("1006 (%v; sending: %v)", err, sending)
	default:
		return fmt.Sprintf("1006 (%v)", err)
	}
}
