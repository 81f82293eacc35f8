// Command cairn versions data, models and pipelines next to Git.
package main

func main() {}
