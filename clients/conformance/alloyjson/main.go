// Reads an Alloy configuration on standard input with Alloy's own parser, and prints its blocks as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/token"
)

type block struct {
	Name       string         `json:"name"`
	Label      string         `json:"label"`
	Attributes map[string]any `json:"attributes"`
	Blocks     []block        `json:"blocks"`
}

// What an object is not: the value of a component, or of a call.
type reference struct {
	Name      string `json:"reference"`
	Arguments []any  `json:"arguments"`
}

type object struct {
	Fields map[string]any `json:"object"`
}

func read(name, label string, body ast.Body) block {
	found := block{name, label, map[string]any{}, []block{}}
	for _, statement := range body {
		switch one := statement.(type) {
		case *ast.AttributeStmt:
			if _, set := found.Attributes[one.Name.Name]; set {
				log.Fatalf("%s is set twice", one.Name.Name)
			}
			found.Attributes[one.Name.Name] = value(one.Value)
		case *ast.BlockStmt:
			found.Blocks = append(found.Blocks, read(strings.Join(one.Name, "."), one.Label, one.Body))
		}
	}
	return found
}

func value(expression ast.Expr) any {
	switch one := expression.(type) {
	case *ast.LiteralExpr:
		return literal(one)
	case *ast.ArrayExpr:
		return values(one.Elements)
	case *ast.ObjectExpr:
		fields := map[string]any{}
		for _, field := range one.Fields {
			fields[field.Name.Name] = value(field.Value)
		}
		return object{fields}
	case *ast.CallExpr:
		return reference{name(one.Value), values(one.Args)}
	default:
		return reference{name(one), nil}
	}
}

func values(expressions []ast.Expr) []any {
	found := []any{}
	for _, one := range expressions {
		found = append(found, value(one))
	}
	return found
}

// Strings, numbers and booleans are written as in JSON.
func literal(one *ast.LiteralExpr) (found any) {
	if one.Kind == token.NULL {
		return nil
	}
	if err := json.Unmarshal([]byte(one.Value), &found); err != nil {
		log.Fatalf("%s: %v", one.Value, err)
	}
	return
}

func name(expression ast.Expr) string {
	switch one := expression.(type) {
	case *ast.IdentifierExpr:
		return one.Ident.Name
	case *ast.AccessExpr:
		return name(one.Value) + "." + one.Name.Name
	default:
		log.Fatalf("%T is not read here", expression)
		return ""
	}
}

func main() {
	log.SetFlags(0)
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	file, err := parser.ParseFile("config.alloy", text)
	if err != nil {
		log.Fatal(err)
	}
	printed, err := json.Marshal(read("", "", file.Body))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(printed))
}
