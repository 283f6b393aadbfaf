"""The same with more care, as the better tutorials have it: requests, a new token on a 401, every failure tried again.

No clock decides on the token: it is used until the API refuses it. A page that cannot be had ends the run with an error.
"""

import argparse
import json
import os
import time

import requests

PAGE_SIZE = 100
ATTEMPTS = 5


class Api:
    def __init__(self, api_url, token_url, client_id, client_secret):
        self.url = api_url + "/api/v2/analytics/conversations/details/query"
        self.token_url = token_url
        self.auth = (client_id, client_secret)
        self.session = requests.Session()
        self.token = None

    def authenticate(self):
        response = requests.post(self.token_url, data={"grant_type": "client_credentials"}, auth=self.auth, timeout=30)
        response.raise_for_status()
        self.token = response.json()["access_token"]

    def fetch_page(self, body):
        failure = None
        for attempt in range(ATTEMPTS):
            try:
                if self.token is None:
                    self.authenticate()
                headers = {"Authorization": f"Bearer {self.token}"}
                response = self.session.post(self.url, json=body, headers=headers, timeout=60)
                if response.status_code == 401:
                    self.token = None
                    failure = "401"
                    continue
                if response.status_code == 429:
                    failure = "429"
                    time.sleep(int(response.headers.get("Retry-After", 60)))
                    continue
                response.raise_for_status()
                # A body that is no JSON is a RequestException as well.
                return response.json()
            except requests.RequestException as error:
                if error.response is not None and 400 <= error.response.status_code < 500:
                    raise
                failure = error
                time.sleep(2**attempt)
        raise RuntimeError(f"gave up after {ATTEMPTS} attempts: {failure}")


def main():
    args = arguments()
    api = Api(args.api_url, args.token_url, os.environ["GENESYS_CLIENT_ID"], os.environ["GENESYS_CLIENT_SECRET"])
    page, total = 1, 0
    with open(args.output, "a", encoding="utf-8") as output:
        while True:
            answer = api.fetch_page(
                {
                    "interval": args.interval,
                    "order": "asc",
                    "orderBy": "conversationStart",
                    "paging": {"pageSize": PAGE_SIZE, "pageNumber": page},
                }
            )
            conversations = answer.get("conversations")
            if not conversations:
                break
            for conversation in conversations:
                output.write(json.dumps(conversation, ensure_ascii=False) + "\n")
            total += len(conversations)
            page += 1
    print(f"exported {total} conversations to {args.output}")


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("--api-url", "--token-url", "--interval", "--output"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
