"""The export with dlt's REST client: its client credentials, its paginator, and its retries as they come."""

import argparse
import json
import os

from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

PAGE_SIZE = 100


def main():
    args = arguments()
    client = RESTClient(
        base_url=args.api_url,
        auth=OAuth2ClientCredentials(
            access_token_url=args.token_url,
            client_id=os.environ["GENESYS_CLIENT_ID"],
            client_secret=os.environ["GENESYS_CLIENT_SECRET"],
        ),
        # `total_path` would be a number of pages, and `totalHits` is one of conversations: the empty page is the end.
        paginator=PageNumberPaginator(base_page=1, page_body_path="paging.pageNumber", total_path=None),
        data_selector="conversations",
    )
    body = {
        "interval": args.interval,
        "order": "asc",
        "orderBy": "conversationStart",
        "paging": {"pageSize": PAGE_SIZE, "pageNumber": 1},
    }
    total = 0
    with open(args.output, "w", encoding="utf-8") as output:
        for page in client.paginate("/api/v2/analytics/conversations/details/query", method="POST", json=body):
            for conversation in page:
                output.write(json.dumps(conversation, ensure_ascii=False) + "\n")
            total += len(page)
    print(f"exported {total} conversations to {args.output}")


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("--api-url", "--token-url", "--interval", "--output"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
