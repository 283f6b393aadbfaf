//! The forms that records can be written in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

use support::{Api, Exporter, Outcome};

const WEEK: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
const PERIOD: [&str; 4] = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];

async fn api(records: u64) -> Api {
    Api::serve(|it| it.records(records).interval(WEEK).unwrap().latency(Duration::from_millis(5))).await
}

fn exporter(api: &Api) -> Exporter {
    Exporter::of(api).args(PERIOD).args(["--page-size", "10"])
}

/// The files whose names begin so, in the order of their names.
fn files(outcome: &Outcome, start: &str) -> Vec<PathBuf> {
    let own = ["checkpoint", "lock", "tmp", "staging"];
    let mut files: Vec<_> = std::fs::read_dir(outcome.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start))
        .filter(|path| path.extension().is_none_or(|it| !own.contains(&&*it.to_string_lossy())))
        .collect();
    files.sort();
    files
}

fn gunzip(path: &PathBuf) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_table_has_the_columns_that_were_said() {
    let api = api(120).await;
    let fields = "conversationId,start=conversationStart,purpose=participants.1.purpose,mediaStatsMinConversationMos,divisionIds,x";
    let outcome = exporter(&api).args(["--format", "csv", "--fields", fields]).exits(0).await;
    let text = outcome.read("conversations.csv");
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let names = ["conversationId", "start", "purpose", "mediaStatsMinConversationMos", "divisionIds", "x"];
    assert_eq!(table.headers().unwrap(), names.as_slice());
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 120);
    for (index, row) in (0..).zip(&rows) {
        let text = api.analytics.record(index);
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&row[0], &row[1]),
            (record["conversationId"].as_str().unwrap(), record["conversationStart"].as_str().unwrap())
        );
        assert_eq!((&row[2], &row[5]), ("agent", ""));
        assert!(text.contains(&format!("\"mediaStatsMinConversationMos\":{},", &row[3])), "digit for digit");
        assert_eq!(serde_json::from_str::<Value>(&row[4]).unwrap(), record["divisionIds"]);
    }
}

#[tokio::test]
async fn no_contact_can_hide_a_formula_in_a_table() {
    let api = Api::serve(|it| it.contacts(100)).await;
    let outcome = Exporter::of(&api).args(["--source", "contacts", "--format", "csv"]).exits(0).await;
    let text = outcome.read("contacts.csv");
    let mut defused = 0;
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            defused += usize::from(cell.starts_with('\''));
        }
    }
    assert!(defused > 10, "{defused}");
}

#[tokio::test]
async fn what_is_compressed_is_the_same_and_goes_on_after_a_kill() {
    let api = api(200).await;
    for (how, name) in [("gzip", "conversations.ndjson.gz"), ("zstd", "conversations.ndjson.zst")] {
        let undisturbed = exporter(&api).args(["--compress", how]).exits(0).await;
        let expected = std::fs::read(undisturbed.path(name)).unwrap();
        let first = exporter(&api).args(["--compress", how]).start().killed_after(&api, 5, name).await;
        // A half of a member is behind the checkpoint.
        let mut torn = File::options().append(true).open(first.path(name)).unwrap();
        torn.write_all(&expected[..expected.len().min(37)]).unwrap();
        drop(torn);
        let outcome = exporter(&api).args(["--compress", how]).after(first).exits(0).await;
        outcome.says(["going on after"]);
        assert!(std::fs::read(outcome.path(name)).unwrap() == expected);
        let mut plain = String::new();
        match how {
            "gzip" => plain = gunzip(&outcome.path(name)),
            _ => drop(zstd::Decoder::new(&expected[..]).unwrap().read_to_string(&mut plain).unwrap()),
        }
        assert!(plain == api.ndjson());
        assert!(expected.len() < plain.len() / 3, "{} of {}", expected.len(), plain.len());
        assert_eq!(outcome.summary()["bytes"], expected.len());
    }
}

#[tokio::test]
async fn files_are_rotated_after_a_page_and_together_are_all_of_it() {
    let api = api(300).await;
    let outcome =
        exporter(&api).args(["--rotate", "100kB", "--compress", "gzip", "-o", "out.ndjson.gz"]).exits(0).await;
    let all = files(&outcome, "out");
    assert_eq!(all[0].file_name().unwrap(), "out-00001.ndjson.gz");
    assert!(all.iter().map(gunzip).collect::<String>() == api.ndjson());
    assert_eq!(outcome.summary()["files"], all.len());

    let outcome = exporter(&api).args(["--rotate", "100kB"]).exits(0).await;
    let all = files(&outcome, "conversations");
    assert!(all.len() > 4, "{all:?}");
    for file in &all[..all.len() - 1] {
        let len = file.metadata().unwrap().len();
        assert!((100_000..130_000).contains(&len), "{len}");
    }
    let together =
        |files: &[PathBuf]| files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
    assert!(together(&all) == api.ndjson());

    // A shorter export leaves none of the longer one behind.
    let shorter = ["--to", "2026-03-03T00:00:00Z"];
    let begun = Exporter::of(&api).args(["--from", "2026-03-01T00:00:00Z"]).args(shorter).args(["--page-size", "10"]);
    let outcome = begun.args(["--rotate", "100kB"]).after(outcome).exits(0).await;
    let fewer = files(&outcome, "conversations");
    assert!(fewer.len() < all.len());
    assert!(api.ndjson().starts_with(&together(&fewer)));
}

#[tokio::test]
async fn a_table_of_many_files_has_its_header_in_each() {
    let api = api(300).await;
    let flags = ["--rotate", "50kB", "--format", "csv", "--fields", "conversationId,participants"];
    let outcome = exporter(&api).args(flags).exits(0).await;
    let all = files(&outcome, "conversations");
    assert!(all.len() > 4);
    let rows = |path| csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).count();
    assert_eq!(all.iter().map(rows).sum::<usize>(), 300);
}

#[tokio::test]
async fn an_empty_export_is_a_file_without_records_in_each_form() {
    let api = api(10).await;
    let later = ["--from", "2026-04-01T00:00:00Z", "--to", "2026-04-08T00:00:00Z"];
    let outcome = Exporter::of(&api).args(later).args(["--format", "csv", "--fields", "a,b"]).exits(0).await;
    assert_eq!(outcome.read("conversations.csv"), "a,b\n");
    let outcome = Exporter::of(&api).args(later).args(["--compress", "gzip"]).exits(0).await;
    assert_eq!(gunzip(&outcome.path("conversations.ndjson.gz")), "");
}

#[tokio::test]
async fn forms_that_do_not_go_together_are_refused_before_anything_is_sent() {
    let api = api(1).await;
    for (flags, says) in [
        (&["--fields", "a"][..], "--fields are columns"),
        (&["--format", "csv", "--fields", "a,b,a"], "two columns are called \"a\""),
        (&["--format", "csv", "--fields", "a..b"], "is no field"),
        (&["--format", "csv", "--fields", "a:number"], "is no type"),
        (&["--rotate", "1MB", "-o", "-"], "need a file"),
        (&["--rotate", "1MB", "-o", "/dev/stdout"], "need a file"),
        (&["--rotate", "0"], "takes a size"),
        (
            &["--format", "parquet", "--compress", "gzip"],
            if cfg!(feature = "parquet") { "within" } else { "--features parquet" },
        ),
        (&["--rotate", "1MB", "--summary", "conversations-00001.ndjson"], "are the same file"),
    ] {
        let mut exporter = Exporter::bare().env("GENESYS_CLIENT_ID", "a").env("GENESYS_CLIENT_SECRET", "b");
        exporter = exporter.args(["--region", "mypurecloud.ie"]);
        for flag in flags {
            exporter = exporter.args([flag]);
        }
        exporter.exits(2).await.says([says]);
    }
    assert_eq!(api.requests(), 0);
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::RowAccessor as _,
    };

    use super::*;

    const FIELDS: &str = "conversationId,conversationStart:timestamp,mos=mediaStatsMinConversationMos:float,divisionIds,x:int,\
                          recording=participants.0.sessions.0.recording:bool";

    fn check(api: &Api, files: &[PathBuf], records: u64) {
        let mut index = 0;
        for file in files {
            let file = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
            for row in file.get_row_iter(None).unwrap() {
                let row = row.unwrap();
                let record: Value = serde_json::from_str(&api.analytics.record(index)).unwrap();
                assert_eq!(row.get_string(0).unwrap(), record["conversationId"].as_str().unwrap());
                let start: jiff::Timestamp = record["conversationStart"].as_str().unwrap().parse().unwrap();
                assert_eq!(row.get_timestamp_millis(1).unwrap(), start.as_millisecond());
                assert_eq!(row.get_double(2).unwrap(), record["mediaStatsMinConversationMos"].as_f64().unwrap());
                assert_eq!(serde_json::from_str::<Value>(row.get_string(3).unwrap()).unwrap(), record["divisionIds"]);
                assert!(row.get_long(4).is_err(), "nothing is null");
                assert_eq!(row.get_bool(5).unwrap(), record["participants"][0]["sessions"][0]["recording"]);
                index += 1;
            }
        }
        assert_eq!(index, records);
    }

    #[tokio::test]
    async fn parquet_holds_the_same_in_its_types_and_goes_on_after_a_kill() {
        let api = api(200).await;
        for rotate in [None, Some("10kB")] {
            let exporter = || {
                let it = exporter(&api).args(["--format", "parquet", "--fields", FIELDS]);
                match rotate {
                    Some(size) => it.args(["--rotate", size]),
                    None => it,
                }
            };
            let undisturbed = exporter().exits(0).await;
            let expected = files(&undisturbed, "conversations");
            assert_eq!(expected.len() > 1, rotate.is_some());
            check(&api, &expected, 200);
            let first = exporter().start().killed_after(&api, 12, "conversations.parquet").await;
            let outcome = exporter().after(first).exits(0).await;
            outcome.says(["going on after"]);
            let found = files(&outcome, "conversations");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!(std::fs::read(found).unwrap() == std::fs::read(expected).unwrap(), "{}", found.display());
            }
            assert_eq!(
                std::fs::read_dir(outcome.path(""))
                    .unwrap()
                    .filter(|entry| {
                        entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "staging" || it == "tmp")
                    })
                    .count(),
                0
            );
        }
    }

    #[tokio::test]
    async fn a_value_that_is_not_of_its_columns_type_is_told() {
        let api = api(30).await;
        let flags = ["--format", "parquet", "--fields", "conversationId:int"];
        let outcome = exporter(&api).args(flags).exits(1).await;
        outcome.says(["record 1 of the page", "conversationId", "--fields"]);
    }

    #[tokio::test]
    async fn a_parquet_file_without_records_can_be_read() {
        let api = api(10).await;
        let later = ["--from", "2026-04-01T00:00:00Z", "--to", "2026-04-08T00:00:00Z"];
        let outcome = Exporter::of(&api).args(later).args(["--format", "parquet"]).exits(0).await;
        let file = SerializedFileReader::new(File::open(outcome.path("conversations.parquet")).unwrap()).unwrap();
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    }
}
