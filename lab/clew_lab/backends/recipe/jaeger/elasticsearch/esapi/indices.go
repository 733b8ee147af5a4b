// Package esapi has the one call that Jaeger names. Nobody gets a client to call it on.
package esapi

import (
	"io"
	"net/http"
)

type Indices struct {
	PutIndexTemplate func(name string, body io.Reader) (*http.Response, error)
}
