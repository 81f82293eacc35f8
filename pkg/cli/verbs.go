package cli

import "github.com/spf13/cobra"

// verbs lists the constructors of all commands, in the order of the help text.
// A new verb is one line here.
var verbs = []func(*App) *cobra.Command{
	newInit,
	newAdd,
	newCommit,
	newCheckout,
	newStatus,
	newDiff,
	newData,
	newMetrics,
	newParams,
	newRepro,
	newStage,
	newFreeze,
	newUnfreeze,
	newPlots,
	newPush,
	newPull,
	newFetch,
	newRemove,
	newMove,
	newUnprotect,
	newGC,
	newFsck,
	newDestroy,
	newConfig,
	newCache,
	newRemote,
	newCheckIgnore,
	newList,
	newDu,
	newInstall,
	newGitHook,
	newRootVerb,
	newVersion,
	newCompletion,
	newGendocs,
}
