//! Records as the bytes of an output.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write as _},
};

use flate2::GzBuilder;
use serde_json::value::RawValue;

use crate::{
    fields::{Field, Record},
    form::{Compression, Form, Format},
    lines,
};

/// A record does not fit the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Counted from 1 on its page.
    pub record: usize,
    pub problem: String,
}

// === impl Form ===

impl Form {
    /// What is to be written for `lines`, each a record, in a file that has nothing yet or something already. What comes out
    /// can be cut off again at its beginning: a gzip member, or a frame of zstd, of its own.
    ///
    /// # Errors
    ///
    /// If a record does not fit.
    pub fn encode<'a>(&self, lines: &'a [u8], first: bool) -> Result<Cow<'a, [u8]>, Misfit> {
        let plain = match self.format {
            Format::Ndjson => Cow::Borrowed(lines),
            Format::Csv => Cow::Owned(csv(&self.fields, lines, first)?),
            Format::Parquet => Cow::Owned(rows(&self.fields, lines)?),
        };
        // A file without a record has a member without a byte: nothing at all is no gzip.
        let Some(how) = self.compress.filter(|_| first || !plain.is_empty()) else { return Ok(plain) };
        // Nothing can fail in memory.
        let compressed = compress(how, &plain);
        compressed.map(Cow::Owned).map_err(|error| Misfit { record: 0, problem: error.to_string() })
    }
}

fn compress(how: Compression, plain: &[u8]) -> io::Result<Vec<u8>> {
    match how {
        Compression::Gzip => {
            // Without a time, so that the same records are the same bytes.
            let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.write_all(plain)?;
            encoder.finish()
        }
    }
}

/// Each line as a record.
fn records(lines: &[u8]) -> impl Iterator<Item = Result<(usize, Record<'_>), Misfit>> {
    lines::split(lines).enumerate().map(|(index, line)| {
        let record = index + 1;
        let read = Record::read(line).ok_or_else(|| Misfit { record, problem: "is no JSON object".into() })?;
        Ok((record, read))
    })
}

fn csv(fields: &[Field], lines: &[u8], first: bool) -> Result<Vec<u8>, Misfit> {
    let misfit = |record, error: csv::Error| Misfit { record, problem: error.to_string() };
    let mut table = csv::Writer::from_writer(Vec::with_capacity(lines.len()));
    if first {
        let names = fields.iter().map(|field| defuse(field.name.as_str().into()).into_owned());
        table.write_record(names).map_err(|error| misfit(0, error))?;
    }
    for record in records(lines) {
        let (number, record) = record?;
        let cells = fields.iter().map(|field| cell(field.find(&record)));
        table.write_record(cells.map(Cow::into_owned)).map_err(|error| misfit(number, error))?;
    }
    table.into_inner().map_err(|error| Misfit { record: 0, problem: error.to_string() })
}

/// Text as it is, anything else as the API wrote it.
fn cell(value: Option<&RawValue>) -> Cow<'_, [u8]> {
    let Some(value) = value else { return Cow::Borrowed(b"") };
    match serde_json::from_str::<Cow<'_, str>>(value.get()) {
        Ok(text) => defuse(text),
        Err(_) => Cow::Borrowed(value.get().as_bytes()),
    }
}

/// A spreadsheet runs text that looks like a formula. A number does nothing, and stays what it is.
fn defuse(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    let first = text.trim_start_matches(' ').chars().next();
    if first
        .is_some_and(|first| matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'))
    {
        return Cow::Owned(format!("'{text}").into_bytes());
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// What waits to become a Parquet file: an array a record, its elements checked to be of the columns' types.
fn rows(fields: &[Field], lines: &[u8]) -> Result<Vec<u8>, Misfit> {
    let mut out = Vec::with_capacity(lines.len() / 2);
    for record in records(lines) {
        let (number, record) = record?;
        out.push(b'[');
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let value = field.find(&record);
            if value.is_some_and(|value| !field.kind.takes(value)) {
                let problem =
                    format!("has a {:?} that is no {:?}: give that field another type", field.name, field.kind);
                return Err(Misfit { record: number, problem });
            }
            out.extend_from_slice(value.map_or("null", RawValue::get).as_bytes());
        }
        out.extend_from_slice(b"]\n");
    }
    Ok(out)
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of the page {}", self.record, self.problem)
    }
}

impl std::error::Error for Misfit {}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn table(fields: &[&str]) -> Form {
        let fields = fields.iter().map(|field| field.parse().unwrap()).collect();
        Form { format: Format::Csv, fields, ..Form::default() }
    }

    fn text(form: &Form, lines: &str, first: bool) -> String {
        String::from_utf8(form.encode(lines.as_bytes(), first).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn csv_has_a_header_once_and_keeps_what_is_nested_as_json() {
        let form = table(&["id", "n", "list", "none"]);
        let lines = "{\"n\":1.10,\"id\":\"a,\\\"b\\\"\\nc\",\"list\":[1, {\"x\":2}]}\n{\"id\":null,\"more\":1}\n";
        let rows = "\"a,\"\"b\"\"\nc\",1.10,\"[1, {\"\"x\"\":2}]\",\n,,,\n";
        assert_eq!(text(&form, lines, true), format!("id,n,list,none\n{rows}"));
        assert_eq!(text(&form, lines, false), rows);
        assert_eq!(text(&form, "", true), "id,n,list,none\n");
        assert_eq!(form.encode(b"[1]\n", false).unwrap_err().record, 1);
    }

    #[test]
    fn csv_never_holds_a_formula() {
        let form = table(&["a", "+b"]);
        for start in ["=", "+", "-", "@", "\t", "\r", "＝", "  =", "\n="] {
            let line = serde_json::json!({"a": format!("{start}1+1"), "+b": -1.5}).to_string() + "\n";
            let row = text(&form, &line, false);
            let mut table = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
            let record = table.records().next().unwrap().unwrap();
            assert_eq!((&record[0], &record[1]), (format!("'{start}1+1").as_str(), "-1.5"), "{start:?}");
        }
        assert_eq!(text(&form, "", true), "a,'+b\n");
        assert_eq!(text(&form, "{\"a\":\"a=b\",\"+b\":\"1-2\"}\n", false), "a=b,1-2\n");
    }

    #[test]
    fn each_page_is_compressed_alone_and_together_they_are_all_of_it() {
        for how in [Compression::Gzip, Compression::Zstd] {
            let form = Form { compress: Some(how), ..Form::default() };
            let mut file = form.encode(b"{\"a\":1}\n", true).unwrap().into_owned();
            file.extend_from_slice(&form.encode(b"{\"a\":2}\n", false).unwrap());
            let mut plain = String::new();
            match how {
                Compression::Gzip => flate2::read::MultiGzDecoder::new(&file[..]).read_to_string(&mut plain).unwrap(),
                Compression::Zstd => zstd::Decoder::new(&file[..]).unwrap().read_to_string(&mut plain).unwrap(),
            };
            assert_eq!(plain, "{\"a\":1}\n{\"a\":2}\n");
            assert!(form.encode(b"", false).unwrap().is_empty());
            assert!(!form.encode(b"", true).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_of_another_type_than_its_column_is_told_and_not_written() {
        let fields = ["id", "n:int", "at:timestamp"].map(|field| field.parse().unwrap()).to_vec();
        let form = Form { format: Format::Parquet, fields, ..Form::default() };
        let good = "{\"id\":{\"a\":1},\"n\":-3,\"at\":\"2026-03-01T00:00:00.5Z\"}\n{\"id\":\"x\"}\n";
        assert_eq!(text(&form, good, true), "[{\"a\":1},-3,\"2026-03-01T00:00:00.5Z\"]\n[\"x\",null,null]\n");
        for bad in ["{\"n\":1.5}", "{\"n\":\"1\"}", "{\"at\":\"soon\"}", "{\"n\":99999999999999999999}"] {
            let lines = format!("{{}}\n{bad}\n");
            assert_eq!(form.encode(lines.as_bytes(), true).unwrap_err().record, 2, "{bad}");
        }
    }
}
