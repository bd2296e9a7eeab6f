// Prints what KEDA's metrics-api scaler reads: the JSON type and the value of a location in the answer on standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/tidwall/gjson"
)

func main() {
	answer, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	found := gjson.GetBytes(answer, os.Args[1])
	fmt.Println(found.Type, found.Raw)
}
