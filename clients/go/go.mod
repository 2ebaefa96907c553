module github.com/tallybook/tallybook/clients/go

go 1.22
