package kernel

// Down ends one lab: tests must leave those of others alone.
var DownOne = down
