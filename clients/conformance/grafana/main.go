// Reads a dashboard, and ends with 1 where Grafana's types know another one.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(os.Args[1])
	var board dashboard.Dashboard
	if err == nil {
		err = board.UnmarshalJSONStrict(text)
	}
	if said(err) {
		os.Exit(1)
	}
	if said(board.Validate()) {
		os.Exit(1)
	}
}

// The SDK gives an error of no faults where there is none.
func said(err error) bool {
	if err == nil || err.Error() == "" {
		return false
	}
	fmt.Println(err)
	return true
}
