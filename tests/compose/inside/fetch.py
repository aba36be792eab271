"""Sends GET to http://HOST:PORT with the headers given as JSON; prints status, headers and body."""

import http.client
import json
import sys

host, port, path, headers = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=30)
connection.request("GET", path, headers=json.loads(headers))
response = connection.getresponse()
found = {name.lower(): value for name, value in response.getheaders()}
body = response.read().decode("utf-8", "replace")
print(json.dumps({"status": response.status, "headers": found, "body": body}))
