//go:build unix

package interop

var checkoutScenarios []scenario
var remoteScenarios []scenario
var statusScenarios []scenario
var configScenarios []scenario
var ignoreScenarios []scenario
var legacyScenarios []scenario
var stageScenarios []scenario
var gitScenarios []scenario
var errorScenarios []scenario
