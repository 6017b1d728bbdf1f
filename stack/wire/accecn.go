package wire

// AccECN is the option of the same name: how many octets of payload arrived with each
// codepoint, modulo 2^24, with the offsets that the RFC has them start at. The fields are sent
// in one of two orders; the last ones may be left out.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.3
type AccECN struct {
	E0B, CEB, E1B uint32 // ECT(0), CE, ECT(1)
	Fields        uint8  // how many came, or are to be sent: 0 to AccECNFields
	ECT0First     bool   // the order of kind 172: E0B, CEB, E1B; else that of kind 174: E1B, CEB, E0B
}

// AccECNFields is the most fields of the option.
const AccECNFields = 3

// The kinds of the option, and the length of each of its fields.
const (
	optAccECN0     = 172
	optAccECN1     = 174
	lenAccECNField = 3
)

// HasE0B says whether the field is among those that came.
func (a *AccECN) HasE0B() bool { return a.Fields == 3 || a.Fields > 0 && a.ECT0First }

// HasCEB is for the middle field of either order.
func (a *AccECN) HasCEB() bool { return a.Fields >= 2 }

// HasE1B is HasE0B of the other order.
func (a *AccECN) HasE1B() bool { return a.Fields == 3 || a.Fields > 0 && !a.ECT0First }

// order is the fields as they are sent.
func (a *AccECN) order() [AccECNFields]*uint32 {
	if a.ECT0First {
		return [AccECNFields]*uint32{&a.E0B, &a.CEB, &a.E1B}
	}
	return [AccECNFields]*uint32{&a.E1B, &a.CEB, &a.E0B}
}

// len is the length of the option, padded to words.
func (a *AccECN) len() int { return (2 + int(a.Fields)*lenAccECNField + 3) &^ 3 }

// set reads the option b, whose length octet agrees with len(b). Lengths that make no whole
// fields are of no option that is known, and ignored.
func (a *AccECN) set(b []byte) bool {
	n := len(b) - 2
	if n%lenAccECNField != 0 || n > AccECNFields*lenAccECNField {
		return false
	}
	*a = AccECN{Fields: uint8(n / lenAccECNField), ECT0First: b[0] == optAccECN0}
	order := a.order()
	for i := range a.Fields {
		f := b[2+lenAccECNField*int(i):]
		*order[i] = uint32(f[0])<<16 | uint32(f[1])<<8 | uint32(f[2])
	}
	return true
}

// put writes the option to the start of b, and returns what it takes, padding included.
func (a *AccECN) put(b []byte) int {
	n := a.len()
	b[0], b[1] = optAccECN1, byte(2+int(a.Fields)*lenAccECNField)
	if a.ECT0First {
		b[0] = optAccECN0
	}
	order := a.order()
	at := 2
	for i := range a.Fields {
		v := *order[i]
		b[at], b[at+1], b[at+2] = byte(v>>16), byte(v>>8), byte(v)
		at += lenAccECNField
	}
	for ; at < n; at++ {
		b[at] = optNOP
	}
	return n
}
