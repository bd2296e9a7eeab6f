// Reads a Kubernetes object on standard input as its operator does. Of a ScrapeConfig or a Probe it prints the
// configuration that the Prometheus Operator makes, for a Prometheus of the version in the first argument and with the
// key in the second in the Secret; a DatadogAgent is only read.
package main

import (
	"bytes"
	"io"
	"log"
	"os"

	datadog "github.com/DataDog/datadog-operator/api/datadoghq/v2alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Where a user applies the object.
const namespace = "monitoring"

func main() {
	object, err := io.ReadAll(os.Stdin)
	check(err)
	var kind meta.TypeMeta
	check(yaml.Unmarshal(object, &kind))
	probes, scrapeConfigs := map[string]*monitoring.Probe{}, map[string]*v1alpha1.ScrapeConfig{}
	switch kind.Kind {
	case "Probe":
		probes["wafer"] = &monitoring.Probe{}
		check(yaml.UnmarshalStrict(object, probes["wafer"]))
		probes["wafer"].Namespace = namespace
	case "ScrapeConfig":
		scrapeConfigs["wafer"] = &v1alpha1.ScrapeConfig{}
		check(yaml.UnmarshalStrict(object, scrapeConfigs["wafer"]))
		scrapeConfigs["wafer"].Namespace = namespace
	case "DatadogAgent":
		check(yaml.UnmarshalStrict(object, &datadog.DatadogAgent{}))
		return
	default:
		log.Fatalf("a %s is not read here", kind.Kind)
	}

	server := &monitoring.Prometheus{}
	server.Namespace, server.Spec.Version = namespace, os.Args[1]
	generator, err := prometheus.NewConfigGenerator(nil, server)
	check(err)
	secret := &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: "wafer-api-key", Namespace: namespace},
		Data:       map[string][]byte{"api-key": []byte(os.Args[2])},
	}
	config, err := generator.GenerateServerConfiguration(
		server, nil, nil, probes, scrapeConfigs, assets.NewTestStoreBuilder(secret), nil, nil, nil, nil,
	)
	check(err)
	// What runs beside Prometheus fills in the number of the shard.
	os.Stdout.Write(bytes.ReplaceAll(config, []byte("$(SHARD)"), []byte("0")))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
