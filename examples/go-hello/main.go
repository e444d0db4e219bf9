// Says hello in the language the caller asks for.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

var greetings = map[string]string{
	"en": "Hello from Go",
	"de": "Hallo aus Go",
	"fr": "Bonjour de Go",
	"zh": "来自 Go 的问候",
}

// greeting takes the first language of an Accept-Language header that is known here.
func greeting(header string) string {
	for _, entry := range strings.Split(header, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(entry), ";")
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if text, known := greetings[primary]; known {
			return text
		}
	}
	return greetings["en"]
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language")
	fmt.Fprintln(w, greeting(r.Header.Get("Accept-Language")))
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: http.HandlerFunc(hello), ReadHeaderTimeout: 5 * time.Second}

	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-stopped.Done()
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(deadline); err != nil {
			log.Print(err)
		}
	}()

	log.Printf("listening on port %s", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-drained
}
