//! Genesys Cloud and NICE CXone at their edges: what is known of how they behave, and where the crate is held to it.
//!
//! A test is `module::name` of this folder, or `root::module::name`, with the folder in `tests/` that it is in.
//!
//! # Hosts and tokens
//!
//! - regions, and what only looks like one: `tokens::every_region_has_the_hosts_that_the_vendor_names`,
//!   `src/genesys/region.rs`
//! - a gateway: `tokens::behind_a_gateway_login_and_api_are_where_they_are_said_to_be`
//! - the request, without a scope, and its answer: any case of `bearer`, an empty `error`:
//!   `tokens::a_token_is_asked_for_as_the_vendor_does_and_sent_as_bearer`
//! - `client_secret_post`: `grant::request::exactly_one_way_of_authentication_is_used`
//! - `expires_in` of 300 to 172,800; of 60 and less:
//!   `tokens::a_token_serves_for_most_of_its_life_however_long_that_is`, `grant::cache::no_lifetime_makes_a_hot_loop`
//! - unknown client, wrong secret: `tokens::who_is_not_known_is_told_so_in_the_words_of_genesys_and_asks_once`
//! - the limit of token requests that is a 400; in the words of others:
//!   `tokens::a_limit_of_token_requests_is_a_400_that_passes`,
//!   `tokens::a_vendor_that_limits_with_other_words_is_understood_by_a_source_around_the_grant`
//! - a client that is disabled: `tokens::a_client_that_was_disabled_is_told_as_what_it_is`
//! - a token is renewed after a 401 as often as need be, and not after a 429; no page is read twice or dropped:
//!   `tokens::each_way_to_refuse_a_token_renews_it_and_no_page_comes_twice`,
//!   `tokens::a_limit_of_the_api_mints_no_token_and_loses_no_page`
//! - a refresh that fails harms nobody; a 401 without end makes no storm:
//!   `cache::single_flight::an_issuer_dead_for_half_a_life_fails_and_delays_nobody`,
//!   `layer::rejection::an_api_that_always_says_401_is_heard_and_starts_no_storm`
//!
//! # Refusals
//!
//! - 401: each code, without a challenge: `tokens::each_way_to_refuse_a_token_renews_it_and_no_page_comes_twice`
//! - 403: `refusals::what_is_forbidden_is_told_at_once_and_is_not_the_tokens_fault`
//! - 429: by header, by message, old and new code; longer than is waited:
//!   `refusals::a_limit_is_waited_for_whichever_way_it_says_how_long`,
//!   `refusals::a_limit_that_lasts_longer_than_is_waited_is_told_in_its_words`, `retry::hint_genesys`
//! - `inin-ratelimit-*`: `refusals::what_each_answer_tells_of_the_limit_is_kept_to`, `retry::cooldown::pacing`
//! - correlation ids, with every failure: `refusals::the_correlation_id_is_found_under_either_name_and_in_the_body`,
//!   `refusals::a_page_that_is_asked_for_again_is_logged_with_its_correlation_id`,
//!   `jobs::a_job_that_fails_names_the_answer_that_said_so`,
//!   `genesys::shapes::an_error_body_is_read_into_code_message_and_correlation_id`
//! - 500, 502, 503, 504, timeouts and resets of a POST that reads:
//!   `refusals::a_post_that_reads_is_sent_again_as_a_get_would_be`, `retry::table`
//! - 413, and an interval of more than 31 days: `refusals::what_another_attempt_does_not_mend_is_asked_for_once`
//! - more than 100,000 results, and 400,000 of a job:
//!   `refusals::a_query_that_goes_too_deep_ends_with_the_words_of_the_api_and_keeps_its_place`
//! - page sizes: `genesys::shapes::the_page_size_stays_within_what_the_api_takes`,
//!   `jobs::a_job_asks_for_what_jobs_take`
//!
//! # Paging
//!
//! - each style, by its rule and by guess: `paging::each_style_is_read_to_its_end_by_its_rule_and_by_guess`, `styles`
//! - `nextPage` as the name of a parameter: `paging::a_page_token_that_has_a_parameter_of_its_name_is_told_a_rule`
//! - a redirect to a file: `paging::a_redirect_to_a_file_is_no_page_and_the_token_does_not_go_there`
//! - filters and aggregations, page number in the body: `paging::whatever_a_query_takes_is_sent_as_it_is`
//! - no hits: `paging::nothing_found_is_a_complete_answer_in_every_style_that_says_so`
//! - absent `conversations`, `totalHits` that moves:
//!   `stops::a_page_past_the_end_that_leaves_its_list_out_ends_what_has_come_and_nothing_else`,
//!   `genesys::shapes::a_details_page_past_the_end_is_an_error_when_hits_are_missing`
//! - `dateAfter` is not `after`: `stops::a_parameter_whose_name_only_looks_like_it_stays`
//! - `pageCount` 1: `stops::of_one_page_no_second_is_asked_for`
//! - three empty pages in a row; no end of them: `stops::three_empty_pages_in_a_row_are_not_the_end`,
//!   `genesys::styles::a_listing_without_an_end_is_found_out`
//! - a page again, byte for byte: `stops::a_page_that_comes_again_byte_for_byte_is_found_out`
//!
//! # Jobs
//!
//! - each state of each vocabulary, in any case; a status that is on the page:
//!   `states::each_state_of_each_vocabulary_is_understood_in_any_case`
//! - what is asked for: `jobs::a_job_asks_for_what_jobs_take`, `genesys::styles::what_a_job_does_not_take_is_refused`
//! - submitted once; all else is sent again: `jobs::a_submission_is_sent_again_only_if_nobody_looked_at_it`,
//!   `jobs::all_else_about_a_job_is_sent_again`
//! - results by cursor: `jobs::a_cursor_leads_through_the_results_until_there_is_none`
//! - `dataAvailabilityDate`:
//!   `genesys::styles::a_data_lake_that_lags_behind_is_incomplete_and_one_without_hits_is_not`,
//!   `pager::job::whole::data_that_ends_too_early_is_incomplete_after_the_last_page`
//! - results that expire: `pager::job::fails::a_job_that_expires_before_or_amid_its_results_says_so`
//! - deleted on every exit: `jobs::a_job_is_deleted_whatever_ends_it`, `jobs::a_job_is_deleted_whoever_turns_away`,
//!   `pager::job::ends`
//!
//! # CXone
//!
//! - an access key with `====`, in a form; discovery: `cxone::an_access_key_is_encoded_wherever_the_client_stands`,
//!   `genesys::cxone::an_access_key_gets_from_discovery_to_the_api`
//! - the tenant, and its API: `cxone::the_tenant_is_named_by_the_answer_or_by_a_token_in_it`,
//!   `genesys::cxone::an_api_that_a_token_cannot_be_sent_to_is_refused`
//! - UserHub's names, and lifetimes as numbers or text:
//!   `cxone::user_hub_is_where_the_tenant_is_and_spells_lifetimes_as_it_likes`
//! - the legacy way: `genesys::cxone::the_legacy_answer_says_where_the_api_is`
//! - an hour takes one token: `cxone::an_hour_of_calls_takes_one_token`
//! - `_links.next`, the key of the items, 204, a literal `Z`:
//!   `cxone::the_items_of_a_report_are_where_they_are_said_to_be_and_instants_stay_as_they_are`,
//!   `cxone::a_report_whose_items_are_elsewhere_is_no_empty_report`,
//!   `genesys::styles::a_report_of_cxone_goes_on_where_it_says_and_ends_without_content`
//! - `skip` until there is no content: `cxone::a_report_is_counted_with_skip_until_there_is_no_content`
//! - `icStatusDescription`, `CorrelationId`: `cxone::an_error_is_told_by_the_body_or_else_by_the_header`
//! - a 429 without `Retry-After` is waited for, another 4xx is not repeated:
//!   `cxone::a_limit_is_waited_for_without_a_word_of_when_and_a_mistake_is_not_repeated`
//! - data extraction: `states`, `cxone::an_extraction_can_be_asked_after_no_more_often_than_each_thirty_seconds`
//!
//! # What any paginator must do
//!
//! - `Link`, relative URLs, cursors to query and body, numbers, offsets, flags as `true` or `"true"`: `pager::rules`
//! - links and cursors that are absent, null, blank:
//!   `stops::a_link_or_a_cursor_that_is_null_blank_or_absent_is_the_end`, `pager::ends`
//! - null, and yet more: `pager::rules::flags::true_without_a_way_to_the_rest_is_a_broken_page`
//! - a total is optional, may be null, and is never fallen short of:
//!   `stops::a_total_is_not_required_and_one_that_cannot_be_read_is_none`,
//!   `stops::fewer_than_there_are_is_never_complete`
//! - A, B, A, B: `stops::cursors_that_go_round_are_a_loop`
//! - too many pages are an error: `stops::more_pages_than_allowed_are_an_error_and_not_a_cut`
//! - URLs of the same origin: `stops::a_link_to_another_origin_is_not_followed`, `pager::origin`
//! - nothing before it is polled, nothing after the end:
//!   `stops::nothing_is_asked_for_before_it_is_wanted_nor_after_the_end`, `pager::stream`
//! - the place is kept after an error, and can be saved:
//!   `stops::after_an_error_the_place_is_kept_and_another_process_goes_on_there`, `pager::continuation`
//! - items and pages; retries of one page: `pager::items`, `pager::broken_pages`
//! - whoever waits can turn away; one token for all; no secret is told:
//!   `refusals::who_gives_up_while_a_limit_is_waited_for_sends_nothing_more`,
//!   `whole::end_to_end::pagers_that_share_a_cache_ask_for_one_token_at_a_time`, `secrets`

mod cxone;
mod jobs;
mod paging;
mod refusals;
mod states;
mod stops;
mod styles;
mod tokens;
mod ways;
mod world;
