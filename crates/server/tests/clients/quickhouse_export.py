"""Drives the published PyPI package `quickhouse`, unmodified: exports events into CSV files.

Environment: URL, ACCOUNT, PASSCODE, EVENT, FROM, TO, OUT (a folder), SSL_CERT_FILE.
"""

import os

import quickhouse

source = quickhouse.CleverTap(
    account_id=os.environ["ACCOUNT"],
    passcode=os.environ["PASSCODE"],
    event_name=os.environ["EVENT"],
    region="in1",
    batch_size=500,
    base_url=os.environ["URL"],
    columns=[
        ("identity", "STRING", "profile.identity"),
        ("ts", "TIMESTAMP"),
        ("props", "JSON", "event_props"),
    ],
    from_date=os.environ["FROM"],
    to_date=os.environ["TO"],
)
print(quickhouse.sync(source, quickhouse.Csv(os.environ["OUT"]), dest_table="events", mode="full"))
