"""Requests at a constant rate over connections that are kept: load.py URL RATE WORKERS OUTPUT STOP

Each request is a line of JSON in OUTPUT: t (ms since 1970, when it was due to be sent), ms (how long it took), status
(0: no answer), and error, or version and machine of who answered. Ends when the file STOP appears. Never asks twice.
"""
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse

url = urllib.parse.urlsplit(sys.argv[1])
rate, workers, output, stop = float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
TIMEOUT_S = 15
lock = threading.Lock()
out = open(output, "w", buffering=1)


def ask(connection):
    connection.request("GET", url.path + (f"?{url.query}" if url.query else ""))
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        return {"status": answer.status, "error": body.decode(errors="replace")[:300]}
    who = json.loads(body)
    return {"status": 200, "version": who.get("version"), "machine": who.get("machine")}


def work(number):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=TIMEOUT_S)
    due = time.monotonic() + number / rate
    while not os.path.exists(stop):
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        due = max(due + workers / rate, time.monotonic() - 1)
        at, began = time.time(), time.monotonic()
        try:
            outcome = ask(connection)
        except Exception as error:
            connection.close()
            outcome = {"status": 0, "error": f"{type(error).__name__}: {error}"}
        line = json.dumps({"t": int(at * 1000), "ms": round((time.monotonic() - began) * 1000, 1), **outcome})
        with lock:
            out.write(line + "\n")


threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
