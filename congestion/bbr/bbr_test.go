package bbr_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
)

func TestConformance(t *testing.T) { congestiontest.Run(t, bbr.New) }
