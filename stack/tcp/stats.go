package tcp

// Stats counts events of all connections of a worker, under Linux's names where it has one.
// The worker writes; who else reads, reads a copy that the worker made.
type Stats struct {
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets uint64

	InSegs, OutSegs, RetransSegs, OutRsts uint64

	TCPTimeouts, TCPSynRetrans, TCPFastRetrans, TCPLostRetransmit uint64
	TCPDupAcks, TCPPartialAcks, TCPSACKRecovery, TCPRenoRecovery  uint64
	TCPOFOQueue, TCPOFODrop, TCPRcvDuplicate                      uint64
	// For want of memory: data dropped that came in order, and times that all which had
	// come out of order was.
	TCPRcvQDrop, OfoPruned uint64
	TCPSACKBlocksBad       uint64

	TCPLossProbes, TCPLossProbeRecovery uint64
	TCPMTUPFail, TCPMTUPSuccess         uint64
	TCPDeliveredCE                      uint64
	// AccECN options believed; connections that gave it up because it came spoilt, or because
	// what carried it seems to be lost.
	TCPAccECNOptions, TCPAccECNOptionBad, TCPAccECNOptionLost uint64
	TCPSpuriousRTOs, TCPFullUndo, TCPDSACKUndo                uint64

	DelayedACKs, TCPAckCompressed, TCPPureAcks                       uint64
	TCPKeepAlive, TCPWinProbe                                        uint64
	TCPChallengeACK, TCPSYNChallenge, TCPAbortOnData, TCPRcvTrimmed  uint64
	TCPOutOfWindow, PAWSEstab, TCPAckTooNew, TCPAckTooOld            uint64
	TCPAbortOnTimeout, TCPAbortFailed, TWRecycled, TimeWaited, TWRST uint64
	TCPGuessedData                                                   uint64 // data that a wary connection did not believe
	// Answers that a limit has held back, and ACKs that came too late to say anything.
	TCPACKSkippedChallenge, TCPACKSkippedPAWS, TCPACKSkippedSeq, TCPACKSkippedTimeWait, PAWSOldAck uint64
	TCPACKSkippedSynRecv                                                                           uint64
	TCPAlgorithmReplaced                                                                           uint64
}
