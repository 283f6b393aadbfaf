//! What was staged, as a Parquet file.

use std::{
    io::{self, BufRead as _, BufReader, Write},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};
use serde_json::value::RawValue;

use crate::{
    disk::{Disk, DiskFile},
    fields::{self, Field, Kind},
    frame::Halt,
};

/// Writes the rows that are staged in `from` to `to`, in its place at once; its length. The same rows become the same bytes.
pub(super) fn finish<D: Disk>(disk: &D, fields: &[Field], from: &Path, to: &Path) -> std::result::Result<u64, Halt> {
    let staged = disk.reader(from).map_err(Halt::Output)?;
    let write = |file: &mut D::File| {
        let mut counted = Counted { file, bytes: 0 };
        write(BufReader::new(staged), fields, &mut counted).map_err(io_error)?;
        Ok::<_, io::Error>(counted.bytes)
    };
    disk.replace_with(to, write).map_err(Halt::Output)
}

fn write<F: DiskFile>(mut staged: BufReader<impl io::Read>, fields: &[Field], file: &mut Counted<'_, F>) -> Result<()> {
    let columns = fields.iter().map(column).collect::<Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("record").with_fields(columns).build()?;
    // Without a version, so that a newer build writes the same.
    let properties = WriterProperties::builder()
        .set_created_by("analytics_exporter".into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    let mut rows = Rows::default();
    let mut line = String::new();
    loop {
        line.clear();
        let ended = staged.read_line(&mut line)? == 0;
        if ended || rows.bytes >= ROW_GROUP {
            if rows.count() > 0 {
                let mut group = writer.next_row_group()?;
                for (index, field) in fields.iter().enumerate() {
                    rows.write_column(&mut group, index, field.kind)?;
                }
                group.close()?;
                rows = Rows::default();
            }
            if ended {
                break;
            }
        }
        rows.push(&line);
    }
    writer.close()?;
    Ok(())
}

fn column(field: &Field) -> Result<Arc<Type>> {
    let (physical, logical) = match field.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Int => (Physical::INT64, None),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Timestamp => (Physical::INT64, Some(timestamp())),
    };
    let column = Type::primitive_type_builder(&field.name, physical);
    let column = column.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()?;
    Ok(Arc::new(column))
}

fn timestamp() -> LogicalType {
    LogicalType::timestamp(true, parquet::basic::TimeUnit::MILLIS)
}

/// Some rows, as their lines.
#[derive(Default)]
struct Rows {
    lines: Vec<String>,
    bytes: usize,
}

impl Rows {
    fn push(&mut self, line: &str) {
        self.bytes += line.len();
        self.lines.push(line.to_owned());
    }

    fn count(&self) -> usize {
        self.lines.len()
    }

    fn write_column<W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        index: usize,
        kind: Kind,
    ) -> Result<()> {
        match kind {
            Kind::Text => self.write_values::<ByteArrayType, _>(group, index, text),
            Kind::Int => self.write_values::<Int64Type, _>(group, index, |value| value.get().parse().ok()),
            Kind::Float => self.write_values::<DoubleType, _>(group, index, fields::float),
            Kind::Bool => self.write_values::<BoolType, _>(group, index, |value| value.get().parse().ok()),
            Kind::Timestamp => self.write_values::<Int64Type, _>(group, index, fields::timestamp),
        }
    }

    fn write_values<T: DataType, W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        index: usize,
        value: impl Fn(&RawValue) -> Option<T::T>,
    ) -> Result<()> {
        let (mut values, mut there) = (Vec::new(), Vec::with_capacity(self.count()));
        for line in &self.lines {
            let cells: Vec<Option<&RawValue>> =
                serde_json::from_str(line).map_err(|error| ParquetError::External(error.into()))?;
            let found = cells.get(index).copied().flatten().map(&value);
            // It was looked at when it was staged.
            if matches!(found, Some(None)) {
                return Err(ParquetError::General("what is staged is damaged".into()));
            }
            there.push(i16::from(found.is_some()));
            values.extend(found.flatten());
        }
        let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".into()))?;
        column.typed::<T>().write_batch(&values, Some(&there), None)?;
        column.close()
    }
}

/// Text as it is, anything else as the API wrote it.
fn text(value: &RawValue) -> Option<ByteArray> {
    let text = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
    Some(ByteArray::from(text.into_bytes()))
}

fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

struct Counted<'a, F> {
    file: &'a mut F,
    bytes: u64,
}

impl<F: DiskFile> Write for Counted<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Staged bytes of a row group, all of which are in memory at a time.
const ROW_GROUP: usize = 4 * 1024 * 1024;
