// The measured application in Go: `go run service.go front|back`; the same two services as service.py.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		log.Print(err)
	}
}

func back(w http.ResponseWriter, r *http.Request) {
	answer(w, map[string]any{"item": r.URL.Path, "stock": 12})
}

func front(w http.ResponseWriter, r *http.Request) {
	response, err := http.Get("http://" + env("BACK_HOST", "back") + ":" + env("BACK_PORT", "8080") + "/stock")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer(w, map[string]any{"path": r.URL.Path, "back": json.RawMessage(body)})
}

func main() {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	handlers := map[string]http.HandlerFunc{"front": front, "back": back}
	log.Fatal(http.ListenAndServe(":"+env("PORT", "8080"), handlers[os.Args[1]]))
}
