"""One module a framework; each keeps the promise that the response waits for the commit."""
