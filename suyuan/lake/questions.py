"""What the lake is asked: the views that every question stands on, and three kept questions.

All of it is SQL that DuckDB and Spark both take, word for word, and both answer with equal rows.
"""

from typing import NamedTuple

VIEWS = {
    # Copies of what others said, and the relay's own records, are no facts of this node (`ledger.keys.is_beside`).
    "events": "SELECT * FROM sealed WHERE key NOT LIKE 'elsewhere:%' AND key NOT LIKE 'relay:%'",
    "boxes": """
SELECT key, min(system) AS system, min(product_key) AS product_key, count(*) AS events,
       min(event_time) AS first_time, max(event_time) AS last_time,
       count(CASE WHEN kind = 'sold' THEN 1 END) AS sales,
       count(CASE WHEN kind = 'claimed' AND verdict = 'pay' THEN 1 END) AS paid,
       min(CASE WHEN kind = 'sold' THEN actor END) AS least_seller,
       max(CASE WHEN kind = 'sold' THEN actor END) AS greatest_seller
FROM events WHERE system IN ('trace20', 'gs1', 'ma', 'ahm', 'maker') GROUP BY key
""",
}
"""Name → what it selects. `sealed` is all that was sealed."""


class Question(NamedTuple):
    """A kept question."""

    words: str
    sql: str


QUESTIONS = {
    "two_institutions": Question(
        "Codes that two institutions or more say they sold.",
        # The least and the greatest differ where there are two: half the work of counting distinct ones.
        """
SELECT key, count(*) AS sales, min(actor) AS one, max(actor) AS another,
       min(event_time) AS first_time, max(event_time) AS last_time
FROM events WHERE kind = 'sold' AND system IN ('trace20', 'gs1', 'ma', 'ahm', 'maker')
GROUP BY key HAVING min(actor) < max(actor)
ORDER BY key
""",
    ),
    "flows": Question(
        "How many codes went from one party to another, by what both say.",
        """
SELECT sent.actor AS sender, received.actor AS receiver, count(*) AS codes, min(received.day) AS first_day,
       max(received.day) AS last_day
FROM (SELECT key, actor, max(event_time) AS sent_time FROM events WHERE kind = 'shipped' GROUP BY key, actor) sent
JOIN (SELECT key, actor, max(day) AS day FROM events WHERE kind = 'received' GROUP BY key, actor) received
  ON sent.key = received.key AND sent.actor <> received.actor
GROUP BY sent.actor, received.actor
ORDER BY codes DESC, sender, receiver
""",
    ),
    "daily": Question(
        "What each institution sold and was paid for, day by day.",
        """
SELECT day, actor, region, count(CASE WHEN kind = 'sold' THEN 1 END) AS sold,
       count(CASE WHEN kind = 'claimed' AND verdict = 'pay' THEN 1 END) AS paid,
       count(CASE WHEN status <> 'accepted' THEN 1 END) AS questioned,
       sum(CASE WHEN kind = 'claimed' AND verdict = 'pay' THEN price ELSE 0 END) AS amount
FROM events
WHERE kind IN ('sold', 'claimed', 'returned', 'cancelled') AND system IN ('trace20', 'gs1', 'ma', 'ahm', 'maker')
GROUP BY day, actor, region
ORDER BY day, actor, region
""",
    ),
}
"""Name → question; `suyuan lake query` takes the name as well as any SQL."""
