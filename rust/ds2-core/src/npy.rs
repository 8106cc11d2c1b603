//! Memory-map a `.npy` file as [`Rows`], so that embeddings are read as they are needed.
//!
//! Format versions 1 to 3, two dimensions, C order, little-endian float32 (`<f4`) or float16 (`<f2`).
#![expect(unsafe_code, reason = "a file is mapped into memory")]

use std::fs::File;
use std::io;
use std::path::Path;

use half::f16;
use memmap2::Mmap;

use crate::{Element, Error, Result, Rows};

const MAGIC: &[u8] = b"\x93NUMPY";

/// A mapped `.npy` file.
#[derive(Debug)]
pub struct Npy {
    map: Mmap,
    header: Header,
}

/// The rows of an [`Npy`], in the type they are stored in.
#[derive(Clone, Copy, Debug)]
pub enum NpyRows<'a> {
    /// float32 rows.
    F32(Rows<'a, f32>),
    /// float16 rows.
    F16(Rows<'a, f16>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dtype {
    F32,
    F16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    dtype: Dtype,
    len: usize,
    dim: usize,
    /// Where the values begin.
    offset: usize,
}

impl Npy {
    /// Map the file at `path` and check that it holds rows.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be opened, is not a `.npy`, is cut short, or holds anything but a
    /// C-ordered 2-D array of `<f4` or `<f2`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |source| Error::Io { path: path.display().to_string(), source };
        let file = File::open(path).map_err(fail)?;
        // SAFETY: the map is only read. Whoever changes the file meanwhile changes the values read, as with
        // every reader of the file; any bytes are valid floats, so no value is undefined.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        let header = parse(&map).and_then(|header| header.fitting(map.len()));
        match header {
            Ok(header) => Ok(Self { map, header }),
            Err(message) => Err(fail(io::Error::new(io::ErrorKind::InvalidData, message))),
        }
    }

    /// The mapped rows.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the rows have no column, or the values do not begin at a multiple of their size
    /// (numpy aligns them).
    pub fn rows(&self) -> Result<NpyRows<'_>> {
        Ok(match self.header.dtype {
            Dtype::F32 => NpyRows::F32(self.typed()?),
            Dtype::F16 => NpyRows::F16(self.typed()?),
        })
    }

    fn typed<T: Element>(&self) -> Result<Rows<'_, T>> {
        let Header { len, dim, offset, .. } = self.header;
        let bytes = &self.map[offset..offset + len * dim * size_of::<T>()];
        let values = bytemuck::try_cast_slice(bytes)
            .map_err(|_| Error::shape(format!("the values begin at byte {offset}, which is not aligned")))?;
        Rows::new(values, len, dim)
    }
}

impl Header {
    /// The header, if a file of `bytes` bytes holds all the values it promises.
    fn fitting(self, bytes: usize) -> std::result::Result<Self, String> {
        let size = match self.dtype {
            Dtype::F32 => 4,
            Dtype::F16 => 2,
        };
        let (len, dim) = (self.len, self.dim);
        let needed =
            len.checked_mul(dim).and_then(|n| n.checked_mul(size)).and_then(|n| n.checked_add(self.offset));
        match needed {
            Some(needed) if needed <= bytes => Ok(self),
            Some(needed) => {
                Err(format!("truncated: a ({len}, {dim}) array needs {needed} bytes, the file has {bytes}"))
            }
            None => Err(format!("a ({len}, {dim}) array is larger than memory can be")),
        }
    }
}

/// Read the header of a `.npy` file that begins with `bytes`.
fn parse(bytes: &[u8]) -> std::result::Result<Header, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not a .npy file")?;
    let [major, _minor, rest @ ..] = rest else { return Err("truncated in the header".into()) };
    let width = match major {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(format!("format version {major} is unknown; 1, 2 and 3 can be read")),
    };
    let (length, rest) = rest.split_at_checked(width).ok_or("truncated in the header")?;
    let length = length.iter().rev().fold(0_usize, |value, &byte| value << 8 | usize::from(byte));
    let text = rest.get(..length).ok_or("truncated in the header")?;
    let text = std::str::from_utf8(text).map_err(|_| "the header is not text")?;
    let (dtype, (len, dim)) = describe(text)?;
    Ok(Header { dtype, len, dim, offset: bytes.len() - rest.len() + length })
}

/// The type and shape a header names, such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn describe(text: &str) -> std::result::Result<(Dtype, (usize, usize)), String> {
    let dtype = match value_of(text, "descr")?.split(['\'', '"']).nth(1) {
        Some("<f4") => Dtype::F32,
        Some("<f2") => Dtype::F16,
        Some(other) => return Err(format!("expected dtype '<f4' or '<f2', got '{other}'")),
        None => return Err("expected dtype '<f4' or '<f2', got a structured one".into()),
    };
    if !value_of(text, "fortran_order")?.starts_with("False") {
        return Err("expected C order, got Fortran order; save np.ascontiguousarray(rows)".into());
    }
    let shape = value_of(text, "shape")?;
    let inner = shape.strip_prefix('(').and_then(|shape| shape.split_once(')'));
    let (inner, _) = inner.ok_or("the header has no shape")?;
    let sizes: Vec<usize> = inner
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| format!("`{size}` is not a size")))
        .collect::<std::result::Result<_, _>>()?;
    match sizes[..] {
        [len, dim] => Ok((dtype, (len, dim))),
        _ => Err(format!("expected a 2-D array (N, d), got shape ({inner})")),
    }
}

/// What follows `'key':` in the header.
fn value_of<'a>(text: &'a str, key: &str) -> std::result::Result<&'a str, String> {
    ['\'', '"']
        .iter()
        .find_map(|quote| text.split_once(&format!("{quote}{key}{quote}")))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| format!("the header does not name its `{key}`"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, text: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        let width = if version == 1 { 2 } else { 4 };
        let padding = (64 - (bytes.len() + width + text.len() + 1) % 64) % 64;
        let text = format!("{text}{}\n", " ".repeat(padding));
        bytes.extend(&text.len().to_le_bytes()[..width]);
        bytes.extend(text.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
    }

    fn open(name: &str, bytes: &[u8]) -> Result<Npy> {
        let path = std::env::temp_dir().join(format!("ds2-core-npy-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let npy = Npy::open(&path);
        std::fs::remove_file(&path).unwrap();
        npy
    }

    #[test]
    fn rows_of_every_version_and_type_are_read() {
        let single: Vec<u8> =
            [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        for version in 1..=3 {
            let npy = open("f4", &file(version, &header("<f4", "False", "(2, 3)"), &single)).unwrap();
            let NpyRows::F32(rows) = npy.rows().unwrap() else { panic!("float32 was written") };
            assert_eq!((rows.len(), rows.dim(), rows.row(1)), (2, 3, &[4.0, 5.0, 6.0][..]));
        }
        let half: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let npy = open("f2", &file(1, &header("<f2", "False", "(1, 2)"), &half)).unwrap();
        let NpyRows::F16(rows) = npy.rows().unwrap() else { panic!("float16 was written") };
        assert_eq!(rows.row(0), [f16::from_f32(1.5), f16::from_f32(-2.0)]);
    }

    #[test]
    fn refusals_name_the_file_and_the_reason() {
        let cases = [
            ("text", b"id,text\n".to_vec(), "not a .npy file"),
            ("empty", Vec::new(), "not a .npy file"),
            ("version", file(9, "", &[]), "format version 9 is unknown"),
            (
                "head",
                file(1, &header("<f4", "False", "(2, 3)"), &[])[..20].to_vec(),
                "truncated in the header",
            ),
            (
                "short",
                file(1, &header("<f4", "False", "(2, 3)"), &[0; 23]),
                "truncated: a (2, 3) array needs",
            ),
            ("huge", file(1, &header("<f4", "False", "(9999999999, 9999999999)"), &[]), "larger than memory"),
            ("fortran", file(1, &header("<f4", "True", "(2, 3)"), &[0; 24]), "got Fortran order"),
            ("f8", file(1, &header("<f8", "False", "(2, 3)"), &[0; 48]), "got '<f8'"),
            ("big", file(1, &header(">f4", "False", "(2, 3)"), &[0; 24]), "got '>f4'"),
            ("flat", file(1, &header("<f4", "False", "(6,)"), &[0; 24]), "got shape (6,)"),
            ("cube", file(1, &header("<f4", "False", "(1, 2, 3)"), &[0; 24]), "got shape (1, 2, 3)"),
            ("none", file(1, "{}", &[]), "does not name its `descr`"),
        ];
        for (name, bytes, reason) in cases {
            let message = open(name, &bytes).expect_err(name).to_string();
            assert!(message.contains(name) && message.contains(reason), "{message}");
        }
        assert!(matches!(Npy::open("no such file.npy"), Err(Error::Io { .. })));
    }

    #[test]
    fn rows_without_columns_are_refused() {
        let npy = open("columns", &file(1, &header("<f4", "False", "(2, 0)"), &[])).unwrap();
        assert!(npy.rows().unwrap_err().to_string().contains("at least 1 column"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[MAGIC, &bytes].concat());
        }

        #[test]
        fn a_damaged_header_never_panics_and_never_reaches_past_the_file(
            at in 6_usize..128, byte: u8, cut in 0_usize..200,
        ) {
            let mut bytes = file(1, &header("<f4", "False", "(2, 3)"), &[0; 24]);
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(header) = parse(&bytes).and_then(|header| header.fitting(bytes.len())) {
                let size = if header.dtype == Dtype::F32 { 4 } else { 2 };
                prop_assert!(header.offset + header.len * header.dim * size <= bytes.len());
            }
        }

        #[test]
        fn what_a_header_says_is_read_back(len: u32, dim: u32, single: bool, version in 1_u8..=3) {
            let descr = if single { "<f4" } else { "<f2" };
            let bytes = file(version, &header(descr, "False", &format!("({len}, {dim})")), &[]);
            let expected = Header {
                dtype: if single { Dtype::F32 } else { Dtype::F16 },
                len: len as usize,
                dim: dim as usize,
                offset: bytes.len(),
            };
            prop_assert_eq!(parse(&bytes), Ok(expected));
        }
    }
}
