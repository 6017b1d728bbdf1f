package bbr1_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/congestion/bbr1"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
)

func TestConformance(t *testing.T) { congestiontest.Run(t, bbr1.New) }
