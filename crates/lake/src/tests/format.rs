//! The bytes of a part: what is in them for readers, and that old ones stay readable.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use model::record::{Record, Table};
use model::{ErrorKind, RawJson};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use std::path::PathBuf;

use super::world::{World, account, everyone, person, run, small};
use crate::PropertyReader;
use crate::part;
use crate::schema::{PropertyColumn, PropertyColumns, PropertyType, fixed_fields, part_schema};

const GOLDEN: [&str; 6] = [
    r#"{"i":1,"f":2.5,"s":"x","b":true,"j":[1,2]}"#,
    r#"{"i":"one","f":1e2,"s":null,"b":false}"#,
    r#"{"price":12.50,"big":18446744073709551617,"neg":-0}"#,
    r#"{"":"empty name","a:b":"colon","é":"ü"}"#,
    r#"{"lone":"\ud800","deep":{"x":[null,{"y":1.0}]}}"#,
    "{}",
];

fn golden_path() -> PathBuf {
    PathBuf::from("testdata/part-events-v1.parquet")
}

fn golden_records(world: &World) -> Vec<Record> {
    let records = (0_u8..).zip(GOLDEN);
    records
        .map(|(n, it)| world.event(person(n), i64::from(n) * 1_000, it))
        .collect()
}

async fn one_part(table: Table) -> (Bytes, World) {
    let world = World::new(small());
    let mut records = golden_records(&world);
    records.extend(world.others(person(2)));
    world.flush(account(1), records, &everyone()).await.unwrap();
    let part = &world.parts(account(1), table).await[0];
    (world.lake.fetch(part).await.unwrap(), world)
}

/// `UPDATE_EXPECT=1` writes the file when there is none; an existing one is never replaced.
#[test]
fn a_part_of_version_1_is_read_as_it_was_written() {
    if !golden_path().exists() && std::env::var_os("UPDATE_EXPECT").is_some() {
        let (bytes, _) = run(one_part(Table::Events));
        std::fs::write(golden_path(), bytes).unwrap();
    }
    let bytes = Bytes::from(std::fs::read(golden_path()).expect("the golden file is committed"));
    let reader = part::open("golden", bytes).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let mut objects = Vec::new();
    for batch in &batches {
        let reader = PropertyReader::new(batch).unwrap();
        objects.extend((0..batch.num_rows()).map(|row| reader.object(row).as_str().to_owned()));
    }
    objects.sort_unstable();
    let expected = [
        r#"{"":"empty name","a:b":"colon","é":"ü"}"#,
        r#"{"b":false,"f":1e2,"i":"one","s":null}"#,
        r#"{"b":true,"f":2.5,"i":1,"j":[1,2],"s":"x"}"#,
        r#"{"big":18446744073709551617,"neg":-0,"price":12.50}"#,
        r#"{"deep":{"x":[null,{"y":1.0}]},"lone":"\ud800"}"#,
        "{}",
    ];
    assert_eq!(objects, expected);
}

#[test]
fn parts_read_back_with_the_published_types() {
    for table in Table::ALL {
        let (bytes, _) = run(one_part(table));
        let reader = part::open("x", bytes).unwrap();
        let fields = reader.schema().fields();
        for (found, expected) in fields.iter().zip(fixed_fields(table)) {
            assert_eq!(**found, expected, "{table:?}");
        }
    }
}

#[test]
fn people_can_be_found_by_filter_and_page() {
    for table in [
        Table::Events,
        Table::ProfileChanges,
        Table::Links,
        Table::Quarantine,
    ] {
        let (bytes, _) = run(one_part(table));
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata = ArrowReaderMetadata::load(&bytes, options).unwrap();
        let group = metadata.metadata().row_group(0);
        let keys = group
            .columns()
            .iter()
            .filter(|it| it.column_path().string().ends_with("_key"));
        for column in keys {
            assert!(column.bloom_filter_offset().is_some(), "{table:?}");
            assert!(column.column_index_offset().is_some(), "{table:?}");
        }
        assert!(metadata.metadata().offset_index().is_some());
        assert!(group.sorting_columns().is_some_and(|it| it.len() >= 3));
    }
}

#[test]
fn foreign_and_later_files_are_refused() {
    let (bytes, world) = run(one_part(Table::Links));
    for cut in [0, 4, bytes.len() / 2, bytes.len() - 1] {
        let error = part::open("x", bytes.slice(..cut)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    let batch = run(world.read(account(1), Table::Links))
        .remove(0)
        .1
        .remove(0);
    for version in [None, Some("2")] {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        if let Some(version) = version {
            let entry = parquet::file::metadata::KeyValue::new(
                String::from("strongroom.part"),
                String::from(version),
            );
            writer.append_key_value_metadata(entry);
        }
        let bytes = Bytes::from(writer.into_inner().unwrap());
        let error = part::open("x", bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        // What a newer program has written is there for that one.
        assert_eq!(world.lake.is_lost(&error), version.is_none());
    }
}

#[test]
fn physical_names_say_property_and_type() {
    let check = |name: &str, expect: Option<(&str, PropertyType)>| {
        let parsed = PropertyColumn::parse(name);
        assert_eq!(
            parsed.as_ref().map(|it| (&*it.name, it.kind)),
            expect,
            "{name}"
        );
        if let Some(column) = parsed {
            assert_eq!(column.physical_name(), name);
        }
    };
    check("p:i:price", Some(("price", PropertyType::Int)));
    check("p:s:", Some(("", PropertyType::Text)));
    check("p:j:a:b", Some(("a:b", PropertyType::Json)));
    check("p:b:p:i:x", Some(("p:i:x", PropertyType::Bool)));
    for none in [
        "name", "overflow", "p:", "p:x:y", "p:is:y", "p:i", "p::y", "",
    ] {
        check(none, None);
    }
}

#[test]
fn the_columns_of_a_view_are_the_union_of_its_parts() {
    run(async {
        let world = World::new(small());
        for properties in [r#"{"a":1,"b":true}"#, r#"{"a":"x"}"#] {
            let records = vec![world.event(person(1), 0, properties)];
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        let parts = world.parts(account(1), Table::Events).await;
        let columns = PropertyColumns::of_parts(parts.iter().map(|it| &**it));
        assert!(!columns.has_overflow());
        let names: Vec<_> = columns
            .physical()
            .iter()
            .map(PropertyColumn::physical_name)
            .collect();
        assert_eq!(names, ["p:i:a", "p:s:a", "p:b:b"]);
        assert!(columns.types("a").contains(PropertyType::Text));
        assert!(!columns.types("c").contains(PropertyType::Text));
        let schema = part_schema(Table::Events, &columns.physical());
        assert_eq!(
            schema.fields().len(),
            fixed_fields(Table::Events).len() + 1 + 3
        );
    });
}

#[test]
fn every_kind_of_row_has_all_its_values() {
    run(async {
        let world = World::new(small());
        world
            .flush(account(1), world.others(person(2)), &everyone())
            .await
            .unwrap();
        let shown = |batches: &[RecordBatch]| {
            arrow::util::pretty::pretty_format_batches(batches)
                .unwrap()
                .to_string()
        };
        let mut all = String::new();
        for table in [
            Table::ProfileChanges,
            Table::Links,
            Table::Requests,
            Table::Quarantine,
        ] {
            let (_, batches) = world.read(account(1), table).await.remove(0);
            let missing: usize = batches[0].columns().iter().map(|it| it.null_count()).sum();
            assert_eq!(missing, usize::from(table == Table::Quarantine));
            // Times can only be printed with a table of time zones.
            let plain = |field: &arrow::datatypes::FieldRef| {
                !matches!(field.data_type(), DataType::Timestamp(..))
            };
            let fields = batches[0].schema_ref().fields().iter().enumerate();
            let plain: Vec<usize> = fields.filter(|it| plain(it.1)).map(|it| it.0).collect();
            all.push_str(&shown(&[batches[0].project(&plain).unwrap()]));
        }
        for value in [
            "web",
            "put",
            "delete",
            "Email",
            "a@b.c",
            "objectId",
            "device",
            "api",
            "203.0.113.0/24",
            "0101010101010101",
            "1.3",
            "POST",
            "/1/upload",
            "200",
            "answered",
            "17",
            "515",
            "bad",
            "010203",
            "not JSON",
        ] {
            assert!(all.contains(value), "{value} is missing in {all}");
        }
        assert_eq!(RawJson::empty_object().as_str(), "{}");
    });
}
