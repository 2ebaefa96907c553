package tallybook

// Version is the version of this client, as in its changelog.
const Version = "0.1.0"
