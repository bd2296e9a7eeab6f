//! One file of request logs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::basic::{Compression, LogicalType, TimeUnit as ParquetTimeUnit, Type as Physical};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningStatistics};

use crate::columns;
use crate::table::HOUR;
use crate::text::athena_type;

const ROWS_PER_BATCH: usize = 8_192;

/// Why Athena refuses a file.
#[derive(Debug, thiserror::Error)]
pub enum BadData {
    /// It is not Parquet, or not all of it is there.
    #[error("Malformed Parquet file {}: {cause}", file.display())]
    Malformed { file: PathBuf, cause: ParquetError },
    /// A column is of a type that does not become the declared one.
    #[error(
        "Field {column}'s type {stored} in parquet file {} \
         is incompatible with type {declared} defined in table schema",
        file.display()
    )]
    Type {
        file: PathBuf,
        /// As the file names it.
        column: String,
        stored: String,
        /// Its type in the table.
        declared: &'static str,
    },
    #[error("Field {column} in parquet file {} holds a value that is not a valid {declared}: {cause}", file.display())]
    Value {
        file: PathBuf,
        /// As the table names it.
        column: String,
        /// Its type in the table.
        declared: &'static str,
        cause: String,
    },
    /// A column is compressed in a way that Trino does not read.
    #[error("Field {column} in parquet file {} is compressed with {codec}, which is not supported", file.display())]
    Compression {
        file: PathBuf,
        /// As the file names it.
        column: String,
        codec: Compression,
    },
}

impl From<BadData> for DataFusionError {
    fn from(fault: BadData) -> Self {
        Self::External(Box::new(fault))
    }
}

/// A file, its columns and the row groups that are wanted of it, ready to be read.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    row_groups: Vec<usize>,
    /// One for each wanted column of the table.
    sources: Vec<Source>,
    schema: SchemaRef,
    doubts: Vec<String>,
}

/// Where the values of one of the table's columns come from.
#[derive(Clone, Debug)]
enum Source {
    /// The file's column of this place.
    Column(usize),
    /// The name of the folder.
    Hour(String),
    /// Nowhere: they are null.
    Missing,
}

impl LogFile {
    /// Looks into a file of an hour's folder for the columns of `schema`.
    ///
    /// # Errors
    /// When Athena would refuse it for one of them.
    pub fn open(path: &Path, hour: &str, schema: &SchemaRef) -> Result<Self> {
        let malformed = |cause| BadData::Malformed { file: path.to_owned(), cause };
        let stored = ArrowReaderMetadata::load(&File::open(path)?, ArrowReaderOptions::new()).map_err(malformed)?;
        let stored = stored.metadata();
        let mut columns = stored.file_metadata().schema_descr().root_schema().get_fields().to_vec();
        let mut doubts = Vec::new();
        let source = |field: &Arc<Field>| -> Result<Source, BadData> {
            if field.name() == HOUR {
                return Ok(Source::Hour(hour.to_owned()));
            }
            // Of two names that differ in case only, the first is the column's.
            let Some(place) = columns.iter().position(|column| column.name().eq_ignore_ascii_case(field.name())) else {
                return Ok(Source::Missing);
            };
            let column = columns[place].name().to_owned();
            doubts.extend(doubt(&columns[place], field.data_type()).map(|doubt| format!("{column}: {doubt}")));
            columns[place] = columns::taken(&columns[place], field.data_type()).ok_or_else(|| BadData::Type {
                file: path.to_owned(),
                column: column.clone(),
                stored: type_name(&columns[place]),
                declared: athena_type(field.data_type()),
            })?;
            if let Some(codec) = unsupported_codec(stored, place) {
                return Err(BadData::Compression { file: path.to_owned(), column, codec });
            }
            Ok(Source::Column(place))
        };
        let sources = schema.fields().iter().map(source).collect::<Result<Vec<_>, _>>()?;
        let metadata = with_columns(stored, columns).map_err(malformed)?;
        let row_groups = (0..stored.num_row_groups()).collect();
        Ok(Self { path: path.to_owned(), metadata, row_groups, sources, schema: Arc::clone(schema), doubts })
    }

    /// What not every version of Athena reads.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// The wanted columns that it has not.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let columns = self.sources.iter().zip(self.schema.fields());
        columns.filter(|(source, _)| matches!(source, Source::Missing)).map(|(_, field)| field.name().as_str())
    }

    /// Its columns that are not wanted.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let columns = self.metadata.schema().fields().iter().enumerate();
        let unknown = columns.filter(|(place, _)| !self.places().any(|wanted| wanted == *place));
        unknown.map(|(_, field)| field.name().as_str())
    }

    /// Without the row groups of which the file itself says that no row passes.
    pub fn pruned(mut self, predicate: &PruningPredicate) -> Result<Self> {
        let passing = predicate.prune(&self)?;
        self.row_groups.retain(|group| passing[*group]);
        Ok(self)
    }

    /// The size of what is read of it.
    pub fn bytes(&self) -> usize {
        let of_group = |group: &usize| {
            let group = self.metadata.metadata().row_group(*group);
            self.places()
                .map(|place| leaves(group, place).map(|leaf| group.column(leaf).compressed_size()).sum::<i64>())
                .sum::<i64>()
        };
        usize::try_from(self.row_groups.iter().map(of_group).sum::<i64>()).unwrap_or_default()
    }

    /// Its rows.
    ///
    /// # Errors
    /// When the file is gone or damaged, or a value does not fit.
    pub fn read(&self) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let malformed = |cause| BadData::Malformed { file: self.path.clone(), cause };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(&self.path)?, self.metadata.clone())
            .with_projection(ProjectionMask::roots(self.metadata.parquet_schema(), self.places()))
            .with_row_groups(self.row_groups.clone())
            .with_batch_size(ROWS_PER_BATCH);
        Ok(reader.build().map_err(malformed)?.map(move |batch| {
            let batch = batch.map_err(|error| malformed(ParquetError::from(error)))?;
            self.as_declared(&batch)
        }))
    }

    fn as_declared(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut places: Vec<usize> = self.places().collect();
        places.sort_unstable();
        let column = |(source, field): (&Source, &Arc<Field>)| -> Result<ArrayRef> {
            let declared = field.data_type();
            let place = match source {
                Source::Column(place) => *place,
                Source::Hour(hour) => {
                    return Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(hour, rows))));
                }
                Source::Missing => return Ok(new_null_array(declared, rows)),
            };
            let values = batch.column(places.partition_point(|each| *each < place));
            Ok(columns::converted(values, declared).map_err(|error| BadData::Value {
                file: self.path.clone(),
                column: field.name().clone(),
                declared: athena_type(declared),
                cause: error.to_string(),
            })?)
        };
        let columns = self.sources.iter().zip(self.schema.fields()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.sources.iter().filter_map(|source| if let Source::Column(place) = source { Some(*place) } else { None })
    }

    /// What the file says of a column's times in each row group. Of other columns nothing is asked.
    fn times<T>(
        &self,
        column: &str,
        ask: impl Fn(&StatisticsConverter, &[RowGroupMetaData]) -> Option<T>,
    ) -> Option<T> {
        let at = self.schema.index_of(column).ok()?;
        let (Source::Column(place), DataType::Timestamp(..)) = (&self.sources[at], self.schema.field(at).data_type())
        else {
            return None;
        };
        let stored = self.metadata.schema().field(*place).name();
        let converter =
            StatisticsConverter::try_new(stored, self.metadata.schema(), self.metadata.parquet_schema()).ok()?;
        ask(&converter, self.metadata.metadata().row_groups())
    }

    fn bounds(
        &self,
        column: &str,
        bound: impl Fn(&StatisticsConverter, &[RowGroupMetaData]) -> Result<ArrayRef, ParquetError>,
    ) -> Option<ArrayRef> {
        let stored = self.times(column, |converter, groups| bound(converter, groups).ok())?;
        let declared = self.schema.field_with_name(column).ok()?.data_type();
        columns::converted(&stored, declared).ok()
    }
}

impl PruningStatistics for LogFile {
    fn min_values(&self, column: &datafusion::common::Column) -> Option<ArrayRef> {
        self.bounds(&column.name, |converter, groups| converter.row_group_mins(groups))
    }

    fn max_values(&self, column: &datafusion::common::Column) -> Option<ArrayRef> {
        self.bounds(&column.name, |converter, groups| converter.row_group_maxes(groups))
    }

    fn num_containers(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &datafusion::common::Column) -> Option<ArrayRef> {
        self.times(&column.name, |converter, groups| {
            Some(Arc::new(converter.row_group_null_counts(groups).ok()?) as ArrayRef)
        })
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(
        &self,
        _column: &datafusion::common::Column,
        _values: &std::collections::HashSet<datafusion::scalar::ScalarValue>,
    ) -> Option<datafusion::arrow::array::BooleanArray> {
        None
    }
}

/// The file's metadata with other types of its columns, which stay in their places.
fn with_columns(stored: &ParquetMetaData, columns: Vec<TypePtr>) -> Result<ArrowReaderMetadata, ParquetError> {
    let file = stored.file_metadata();
    let root = Type::group_type_builder(file.schema_descr().root_schema().name()).with_fields(columns).build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        None,
        Arc::clone(&schema),
        None,
    );
    let metadata = Arc::new(ParquetMetaData::new(file, stored.row_groups().to_vec()));
    let read = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())?;
    // Nanoseconds would end in the year 2262.
    let is_int96 = |column: &Type| column.is_primitive() && column.get_physical_type() == Physical::INT96;
    let fields = read.schema().fields().iter().zip(schema.root_schema().get_fields()).map(|(field, column)| {
        let microseconds = DataType::Timestamp(TimeUnit::Microsecond, None);
        if is_int96(column) { Arc::new(field.as_ref().clone().with_data_type(microseconds)) } else { Arc::clone(field) }
    });
    let arrow = Arc::new(Schema::new(fields.collect::<Fields>()));
    ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new().with_schema(arrow))
}

fn doubt(stored: &Type, declared: &DataType) -> Option<&'static str> {
    let is_int64 = stored.is_primitive() && stored.get_physical_type() == Physical::INT64;
    match (declared, stored.get_basic_info().logical_type_ref()) {
        (DataType::Int32, _) if is_int64 => Some("older versions of Athena refuse INT64 for an integer"),
        (DataType::Timestamp(..), Some(LogicalType::Timestamp(time))) if time.unit == ParquetTimeUnit::NANOS => {
            Some("older versions of Athena do not read nanoseconds")
        }
        _ => None,
    }
}

fn type_name(column: &Type) -> String {
    if column.is_group() { "GROUP".to_owned() } else { column.get_physical_type().to_string() }
}

fn unsupported_codec(file: &ParquetMetaData, place: usize) -> Option<Compression> {
    let codecs =
        file.row_groups().iter().flat_map(|group| leaves(group, place).map(|leaf| group.column(leaf).compression()));
    let is_read = |codec: &Compression| {
        matches!(codec, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_))
    };
    codecs.into_iter().find(|codec| !is_read(codec))
}

/// The leaves of a column of this place.
fn leaves(group: &RowGroupMetaData, place: usize) -> impl Iterator<Item = usize> {
    (0..group.num_columns()).filter(move |leaf| group.schema_descr().get_column_root_idx(*leaf) == place)
}
