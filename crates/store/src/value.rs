//! What goes into statements and what comes out of rows: domain types as integers, texts and bytes.
//!
//! Reading parses: a column that does not hold what its type says is [`StoreError::Failed`], never a default.

use std::str::FromStr;

use tollgate_core::{
    Id, No, Role, Timestamp,
    account::RoleSource,
    catalog::{BaseUrl, Engine, ModelKind, OnClientGone},
    id::IdKind,
    leak::{LeakSource, OnLeak},
    name::{Email, Handle, Label, ModelName, Slug},
    secret::{KeyHash, Prefix, PublicId},
};

use crate::{Result, StoreError, engine::Columns};

/// A statement's parameter.
#[derive(Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A list of parameters, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}
pub(crate) use values;

/// What can be read from a column.
pub(crate) trait Column: Sized {
    fn read(columns: &mut Columns<'_>) -> Result<Self>;
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}
impl From<u64> for Value {
    fn from(int: u64) -> Self {
        Self::Int(Some(i64::try_from(int).unwrap_or(i64::MAX)))
    }
}
impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(Some(i64::from(int)))
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Int(Some(i64::from(yes)))
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(Some(at.as_millis()))
    }
}
impl<K> From<No<K>> for Value {
    fn from(no: No<K>) -> Self {
        Self::Int(Some(no.get()))
    }
}
impl<K: IdKind> From<Id<K>> for Value {
    fn from(id: Id<K>) -> Self {
        Self::Text(Some(id.to_string()))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}
impl From<KeyHash> for Value {
    fn from(hash: KeyHash) -> Self {
        Self::Bytes(Some(hash.as_bytes().to_vec()))
    }
}
macro_rules! optional {
    ($($kind:ident: $($ty:ty),+;)+) => { $($(
        impl From<Option<$ty>> for Value {
            fn from(value: Option<$ty>) -> Self {
                value.map_or(Self::$kind(None), Self::from)
            }
        }
    )+)+ };
}
optional! {
    Int: i64, u64, Timestamp;
    Text: &str, String, &Label, &Email;
    Bytes: Vec<u8>, KeyHash;
}
impl<K> From<Option<No<K>>> for Value {
    fn from(no: Option<No<K>>) -> Self {
        Self::Int(no.map(No::get))
    }
}
impl<K: IdKind> From<Option<Id<K>>> for Value {
    fn from(id: Option<Id<K>>) -> Self {
        Self::Text(id.map(|id| id.to_string()))
    }
}
macro_rules! text_like {
    ($($ty:ty),+) => { $(
        impl From<&$ty> for Value {
            fn from(text: &$ty) -> Self {
                Self::from(text.as_str())
            }
        }
        impl Column for $ty {
            fn read(columns: &mut Columns<'_>) -> Result<Self> {
                parsed(&columns.next::<String>()?)
            }
        }
        impl Column for Option<$ty> {
            fn read(columns: &mut Columns<'_>) -> Result<Self> {
                columns.text()?.map(|text| parsed(&text)).transpose()
            }
        }
    )+ };
}
text_like!(
    Label,
    Handle,
    Slug,
    ModelName,
    Email,
    PublicId,
    BaseUrl,
    ModelKind,
    Engine,
    OnClientGone,
    Role,
    RoleSource,
    LeakSource,
    OnLeak
);

impl From<&Prefix> for Value {
    fn from(prefix: &Prefix) -> Self {
        Self::from(prefix.as_str())
    }
}
impl Column for Prefix {
    /// An empty one is of a key that a program from before this column made while another had upgraded the store: its
    /// prefix is not known, and is only shown.
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        prefix_of(&columns.next::<String>()?)
    }
}

/// A key's prefix as it is stored.
pub(crate) fn prefix_of(text: &str) -> Result<Prefix> {
    if text.is_empty() { Ok(Prefix::default()) } else { parsed(text) }
}

/// What a stored text says.
pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| StoreError::Failed(format!("a stored value cannot be read: {error}")))
}

impl Column for Option<i64> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        columns.int()
    }
}
impl Column for Option<String> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        columns.text()
    }
}
impl Column for Option<Vec<u8>> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        columns.bytes()
    }
}
macro_rules! required {
    ($($ty:ty),+) => { $(
        impl Column for $ty {
            fn read(columns: &mut Columns<'_>) -> Result<Self> {
                Option::<$ty>::read(columns)?.ok_or_else(missing)
            }
        }
    )+ };
}
required!(i64, String, Vec<u8>, u64, Timestamp, KeyHash, bool);

fn missing() -> StoreError {
    StoreError::Failed("a stored value is missing".into())
}

impl Column for Option<u64> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        let int = columns.int()?;
        int.map(|int| u64::try_from(int).map_err(|_| StoreError::Failed("a stored number is negative".into())))
            .transpose()
    }
}
impl Column for Option<bool> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        Ok(columns.int()?.map(|int| int != 0))
    }
}
impl Column for Option<Timestamp> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        Ok(columns.int()?.map(Timestamp::from_millis))
    }
}
impl Column for Option<KeyHash> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        let bytes = columns.bytes()?;
        let hash = bytes.map(|bytes| <[u8; 32]>::try_from(bytes).map(KeyHash::from_bytes));
        hash.transpose().map_err(|_| StoreError::Failed("a stored hash has not 32 bytes".into()))
    }
}
impl<K> Column for No<K> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        columns.next().map(Self::new)
    }
}
impl<K> Column for Option<No<K>> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        Ok(columns.int()?.map(No::new))
    }
}
impl<K: IdKind> Column for Id<K> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        parsed(&columns.next::<String>()?)
    }
}
impl<K: IdKind> Column for Option<Id<K>> {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        columns.text()?.map(|text| parsed(&text)).transpose()
    }
}

/// A free text as both engines can hold it: PostgreSQL's texts hold no NUL.
pub(crate) fn storable(text: Option<&str>) -> Result<()> {
    match text {
        Some(text) if text.contains('\0') => Err(StoreError::State("a text contains a NUL character")),
        _ => Ok(()),
    }
}
