//! The SQL functions of Strongroom. All are pure: what they say depends on their arguments only, so
//! that a plan which names them means the same everywhere. No key and no person is in them, but for
//! [`Hidden`], which holds people where they are too many for literals.
//!
//! - `text(x)`: a JSON value's string, a person key's hexadecimal digits, anything else as text;
//! - `str(x)`: a JSON value's string; null when it is something else;
//! - `num(x)`: a JSON value's number; null when it is something else;
//! - `bool(x)`: a JSON value's true or false; null when it is something else.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use governance::{Mask, Masks, Suppressions};
use lake::PropertyReader;
use lake::schema::{OVERFLOW, PropertyColumn, PropertyType};
use model::{PersonKey, RawJson, Timestamp};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use crate::json;

/// `text(x)`.
pub(crate) fn text() -> Arc<ScalarUDF> {
    reading(Reading::Text)
}

/// `str(x)`.
pub(crate) fn string() -> Arc<ScalarUDF> {
    reading(Reading::String)
}

/// `num(x)`.
pub(crate) fn num() -> Arc<ScalarUDF> {
    reading(Reading::Number)
}

/// `bool(x)`.
pub(crate) fn boolean() -> Arc<ScalarUDF> {
    reading(Reading::Boolean)
}

/// Builds the JSON text of a property out of its physical columns: `property(name, types, …)`.
pub(crate) fn property() -> Arc<ScalarUDF> {
    static IT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Property { signature }))
    });
    Arc::clone(&IT)
}

/// Whether a row of a person at a time is one of these people's, for many of them.
pub(crate) fn hidden(suppressions: &Arc<Suppressions>) -> ScalarUDF {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::new_from_impl(Hidden {
        signature,
        suppressions: Arc::clone(suppressions),
    })
}

/// What a partial mask leaves of a value, as text; null where there is no value.
pub(crate) fn partial_text() -> ScalarUDF {
    masking(Masking::Text)
}

/// As [`partial_text`], of JSON and as JSON.
pub(crate) fn partial_json() -> ScalarUDF {
    masking(Masking::Json)
}

/// A JSON object of what an SDK said, with masked members masked.
pub(crate) fn masked_members(masks: &Arc<Masks>) -> ScalarUDF {
    masking(Masking::Members(Arc::clone(masks)))
}

fn masking(masking: Masking) -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(Masker { masking, signature })
}

fn reading(reading: Reading) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Read { reading, signature }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reading {
    Text,
    String,
    Number,
    Boolean,
}

/// A value as text, number or boolean.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Read {
    reading: Reading,
    signature: Signature,
}

impl ScalarUDFImpl for Read {
    fn name(&self) -> &str {
        match self.reading {
            Reading::Text => "text",
            Reading::String => "str",
            Reading::Number => "num",
            Reading::Boolean => "bool",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.reading {
            Reading::Text | Reading::String => DataType::Utf8,
            Reading::Number => DataType::Float64,
            Reading::Boolean => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let (Some(arg), Some(field)) = (args.args.first(), args.arg_fields.first()) else {
            return Err(internal("read an argument"));
        };
        let scalar = matches!(arg, ColumnarValue::Scalar(_));
        let array = arg.to_array(if scalar { 1 } else { args.number_rows })?;
        let result = self.read(&array, json::is_marked(field))?;
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

impl Read {
    fn read(&self, array: &ArrayRef, is_json: bool) -> EngineResult<ArrayRef> {
        if let (Reading::Text, DataType::FixedSizeBinary(_)) = (self.reading, array.data_type()) {
            return Ok(Arc::new(hexadecimal(array.as_fixed_size_binary())));
        }
        if !is_json {
            return Ok(match self.reading {
                Reading::Text => cast(array, &DataType::Utf8)?,
                Reading::String if array.data_type().is_string() => cast(array, &DataType::Utf8)?,
                Reading::String => Arc::new(StringArray::new_null(array.len())),
                // A string is no number, as in JSON: `CAST` says what is meant.
                Reading::Number if array.data_type().is_numeric() => {
                    cast(array, &DataType::Float64)?
                }
                Reading::Boolean if *array.data_type() == DataType::Boolean => Arc::clone(array),
                Reading::Number => Arc::new(Float64Array::new_null(array.len())),
                Reading::Boolean => Arc::new(BooleanArray::new_null(array.len())),
            });
        }
        let array = cast(array, &DataType::Utf8)?;
        let texts = array.as_string::<i32>();
        Ok(match self.reading {
            Reading::Text => Arc::new(
                texts
                    .iter()
                    .map(|it| it.map(json_text))
                    .collect::<StringArray>(),
            ),
            Reading::String => {
                let strings = texts.iter().map(|it| it.and_then(json_string));
                Arc::new(strings.collect::<StringArray>())
            }
            Reading::Number => {
                let numbers = texts.iter().map(|it| it.and_then(json_number));
                Arc::new(numbers.collect::<Float64Array>())
            }
            Reading::Boolean => {
                let values = texts.iter().map(|it| match it {
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    _ => None,
                });
                Arc::new(values.collect::<BooleanArray>())
            }
        })
    }
}

/// A JSON string decoded; any other value as it was written.
pub(crate) fn json_text(text: &str) -> String {
    json_string(text).unwrap_or_else(|| text.to_owned())
}

/// A JSON string decoded; none for every other value.
pub(crate) fn json_string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The members of a JSON object; none of anything else.
pub(crate) fn json_members(object: &str) -> HashMap<String, &RawValue> {
    serde_json::from_str(object).unwrap_or_default()
}

/// A JSON number; none for every other value.
pub(crate) fn json_number(text: &str) -> Option<f64> {
    match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => text.parse().ok(),
        _ => None,
    }
}

fn hexadecimal(keys: &FixedSizeBinaryArray) -> StringArray {
    let mut out = StringBuilder::with_capacity(keys.len(), keys.len().saturating_mul(32));
    for key in keys {
        out.append_option(key.map(json::hex));
    }
    out.finish()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Property {
    signature: Signature,
}

impl ScalarUDFImpl for Property {
    fn name(&self) -> &'static str {
        "property"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        Ok(Arc::new(json::marked(Field::new(
            self.name(),
            DataType::Utf8,
            true,
        ))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let mut values = args.args.iter();
        let (Some(name), Some(types)) = (literal(values.next()), literal(values.next())) else {
            return Err(DataFusionError::Plan(String::from(
                "property() wants a literal name",
            )));
        };
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (letter, value) in types.chars().zip(values) {
            let (field_name, data_type) = match PropertyType::from_letter(letter) {
                Some(kind) => {
                    let column = PropertyColumn {
                        name: Box::from(name),
                        kind,
                    };
                    (column.physical_name(), kind.data_type())
                }
                None => (String::from(OVERFLOW), DataType::Utf8),
            };
            let array = value.to_array(args.number_rows)?;
            arrays.push(cast(&array, &data_type)?);
            fields.push(Field::new(field_name, data_type, true));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let reader = PropertyReader::new(&batch)
            .map_err(|error| crate::scan::external(crate::Error::Lake(error)))?;
        let mut out = StringBuilder::new();
        for row in 0..args.number_rows {
            out.append_option(reader.value(row, name).as_ref().map(RawJson::as_str));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

fn literal(value: Option<&ColumnarValue>) -> Option<&str> {
    match value {
        Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) => Some(text),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Masking {
    Text,
    Json,
    Members(Arc<Masks>),
}

/// What is shown of masked values.
#[derive(Debug, PartialEq, Eq)]
struct Masker {
    masking: Masking,
    signature: Signature,
}

impl Hash for Masker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Masker {
    fn name(&self) -> &'static str {
        match self.masking {
            Masking::Text => "partial_text",
            Masking::Json => "partial_json",
            Masking::Members(_) => "masked_members",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let (Some(arg), Some(field)) = (args.args.first(), args.arg_fields.first()) else {
            return Err(internal("read an argument"));
        };
        let array = arg.to_array(args.number_rows)?;
        let is_text = array.data_type().is_string();
        let is_json = json::is_marked(field);
        let array = cast(&array, &DataType::Utf8)?;
        let shown = array.as_string::<i32>().iter().map(|value| {
            let value = value?;
            Some(match &self.masking {
                Masking::Text if is_json => json_text(&Mask::Partial.json(value)),
                Masking::Text if is_text => Mask::Partial.text(value).into_owned(),
                Masking::Text => Mask::Placeholder.text(value).into_owned(),
                Masking::Json => Mask::Partial.json(value).into(),
                Masking::Members(masks) => crate::masked::members(value, masks).as_str().to_owned(),
            })
        });
        Ok(ColumnarValue::Array(Arc::new(
            shown.collect::<StringArray>(),
        )))
    }
}

/// See [`hidden`].
#[derive(Debug)]
struct Hidden {
    signature: Signature,
    suppressions: Arc<Suppressions>,
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.suppressions == other.suppressions
    }
}

impl Eq for Hidden {}

impl Hash for Hidden {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.suppressions.position.0.hash(state);
    }
}

impl ScalarUDFImpl for Hidden {
    fn name(&self) -> &'static str {
        "hidden"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [person, ts] = args.args.as_slice() else {
            return Err(internal("read the arguments of hidden()"));
        };
        let (person, ts) = (
            person.to_array(args.number_rows)?,
            ts.to_array(args.number_rows)?,
        );
        let (Some(person), Some(ts)) = (
            person.as_fixed_size_binary_opt(),
            ts.as_primitive_opt::<TimestampMillisecondType>(),
        ) else {
            return Err(internal("read the arguments of hidden()"));
        };
        let hidden = person.iter().zip(ts.iter()).map(|(person, ts)| {
            let key = person.and_then(|it| <[u8; 16]>::try_from(it).ok());
            Some(match (key, ts) {
                (Some(key), Some(ts)) => self
                    .suppressions
                    .hides(PersonKey(key), Timestamp::from_ms(ts)),
                _ => false,
            })
        });
        Ok(ColumnarValue::Array(Arc::new(
            hidden.collect::<BooleanArray>(),
        )))
    }
}

fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}
