// Package tallybook counts the usage of an API gateway in memory and posts it to Tallybook exactly
// once, also when the process is killed, the network loses answers, or the service is away for
// days.
//
// Record and RecordToken add to numbers in memory. Every few seconds the counts are sealed: written
// to a spool directory with the key under which they are posted. What is sealed is neither lost nor
// counted twice. Counts since the last seal are lost if the process is killed.
//
//	client, err := tallybook.Open(tallybook.Options{
//		URL:      "https://tallybook.example.com",
//		Token:    os.Getenv("TALLYBOOK_DP_TOKEN"),
//		Instance: "proxy-eu-1",
//		Spool:    "/var/lib/proxy/tallybook",
//	})
//	if err != nil {
//		return err
//	}
//	client.Record(tallybook.ID(7), tallybook.Counts{Requests: 1, SuccessRequests: 1})
package tallybook
