"""The export in the way of the tutorials: requests, a token by the clock, and a retry here and there.

Written for this comparison, from habits that many published scripts share; each is named where it is. It is not a bad
script on purpose: from an API without trouble it exports everything.
"""

import argparse
import json
import os
import time

import requests

PAGE_SIZE = 100
ATTEMPTS = 5
# Habit: every token is replaced five minutes ahead of its end, however long it lives. One that lives for five minutes
# or less is so never used twice.
BUFFER = 300


class Token:
    def __init__(self, url, client_id, client_secret):
        self.url = url
        self.auth = (client_id, client_secret)
        self.token = None
        self.expires_at = 0.0

    def get(self):
        # Habit: the clock alone decides. What the API says of the token, a 401, is not listened to.
        if self.token is None or time.time() >= self.expires_at - BUFFER:
            response = requests.post(self.url, data={"grant_type": "client_credentials"}, auth=self.auth, timeout=30)
            response.raise_for_status()
            answer = response.json()
            self.token = answer["access_token"]
            self.expires_at = time.time() + answer["expires_in"]
        return self.token


def fetch_page(session, token, url, body):
    for attempt in range(ATTEMPTS):
        headers = {"Authorization": f"Bearer {token.get()}"}
        response = session.post(url, json=body, headers=headers, timeout=60)
        if response.status_code == 429:
            # Habit: as long as the server says, in seconds, or a minute.
            time.sleep(int(response.headers.get("Retry-After", 60)))
        elif response.status_code >= 500:
            # Habit: doubled each time, and nothing random in it.
            time.sleep(2**attempt)
        else:
            response.raise_for_status()
            # Habit: status 200 means that the body is the page.
            return response.json()
    raise RuntimeError(f"gave up after {ATTEMPTS} attempts")


def main():
    args = arguments()
    token = Token(args.token_url, os.environ["GENESYS_CLIENT_ID"], os.environ["GENESYS_CLIENT_SECRET"])
    url = args.api_url + "/api/v2/analytics/conversations/details/query"
    # One connection for all pages. Many scripts open one for each; this is the better half.
    session = requests.Session()
    page, total = 1, 0
    while True:
        body = {
            "interval": args.interval,
            "order": "asc",
            "orderBy": "conversationStart",
            "paging": {"pageSize": PAGE_SIZE, "pageNumber": page},
        }
        try:
            answer = fetch_page(session, token, url, body)
        except requests.HTTPError as error:
            # Habit: what the API refuses ends the loop, and with it the export, as if it were the last page.
            print(f"page {page}: {error}")
            break
        except Exception as error:
            # Habit: anything else is logged, and the next page is asked for. This one is lost.
            print(f"page {page}: {error}")
            page += 1
            continue
        conversations = answer.get("conversations")
        if not conversations:
            break
        # Habit: appended, so that a second run writes behind what the first one has left.
        with open(args.output, "a", encoding="utf-8") as output:
            for conversation in conversations:
                output.write(json.dumps(conversation, ensure_ascii=False) + "\n")
        total += len(conversations)
        page += 1
    # Habit: however the loop ended, this is a success.
    print(f"exported {total} conversations to {args.output}")


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("--api-url", "--token-url", "--interval", "--output"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
