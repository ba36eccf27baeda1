//! The flat files: where they lie ([`paths`]), rows ([`result_set`]), and records that are rewritten whole.
//!
//! One process holds a datastore, by a lock. Each file has one writer.

pub(crate) mod lines;
pub(crate) mod paths;
pub(crate) mod result_set;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use paths::{Home, Paths, SetPaths};

use crate::OpenError;

/// Past this many files one flush of the whole file system is cheaper.
const FLUSH_ALL: usize = 64;

/// The version of the files' layout.
const LAYOUT: u32 = 1;

/// An open datastore.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) paths: Paths,
    pub(crate) shards: usize,
    /// Held as long as the hub lives.
    _lock: File,
}

#[derive(Debug, Deserialize, Serialize)]
struct StoreRecord {
    layout: u32,
    /// Which of a hunt's files a client's rows are in depends on this: it never changes.
    shards: usize,
}

impl Store {
    /// Opens the datastore for this process alone; `shards` counts only where it is new. Uploads go to `filestore`,
    /// if it is another directory.
    pub(crate) fn open(root: PathBuf, filestore: Option<PathBuf>, shards: usize) -> Result<Self, OpenError> {
        let paths = Paths::new(root);
        let paths = match filestore {
            Some(filestore) => paths.with_filestore(filestore),
            None => paths,
        };
        let io = |path: &Path, what| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { path, what, source }
        };
        for directory in
            [paths.root().to_path_buf(), paths.clients(), paths.hunts(), paths.users(), paths.custom_artifacts()]
        {
            create_directory(&directory).map_err(io(&directory, "make the directory"))?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(paths.lock())
            .map_err(io(&paths.lock(), "open the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(paths.root().to_path_buf())),
            Err(TryLockError::Error(error)) => return Err(io(&paths.lock(), "lock the datastore")(error)),
        }
        let record = match read_record::<StoreRecord>(&paths.store()) {
            Ok(Some(record)) => record,
            Ok(None) => {
                let record = StoreRecord { layout: LAYOUT, shards: shards.clamp(1, 64) };
                write_record(&paths.store(), &record).map_err(io(&paths.store(), "write"))?;
                record
            }
            Err(error) => return Err(io(&paths.store(), "read")(error)),
        };
        if record.layout != LAYOUT || !(1..=64).contains(&record.shards) {
            let reason =
                format!("layout {} with {} shards is not one that this hub reads", record.layout, record.shards);
            return Err(OpenError::Damaged { path: paths.store(), reason });
        }
        Ok(Self { paths, shards: record.shards, _lock: lock })
    }
}

/// Makes the directory and those above it, for the owner alone.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a record as a whole, on disk when it returns: temporary file, flush, rename, flush of the directory.
pub(crate) fn write_record(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let mut durable = Durable::default();
    let staged = Staged::write(path, record, &mut durable)?;
    durable.flush()?;
    let mut durable = Durable::default();
    staged.publish(&mut durable)?;
    durable.flush()
}

/// A record; None if there is none. Damaged JSON is an error of kind InvalidData.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A record written beside its place, so that many can share one flush before they are moved there.
#[derive(Debug)]
pub(crate) struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    pub(crate) fn write(path: &Path, record: &impl Serialize, durable: &mut Durable) -> io::Result<Self> {
        let mut name = OsString::from(path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = path.with_file_name(name);
        let mut bytes = serde_json::to_vec(record)?;
        bytes.push(b'\n');
        let mut file = match File::create(&temporary) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    create_directory(parent)?;
                }
                durable.directories_of(path)?;
                File::create(&temporary)
            }
            other => other,
        }?;
        file.write_all(&bytes)?;
        durable.file(&file)?;
        Ok(Self { temporary, path: path.to_path_buf() })
    }

    /// Moves the record into its place; the directory has to be flushed then.
    pub(crate) fn publish(self, durable: &mut Durable) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        durable.directory_of(&self.path)
    }
}

/// What has to be flushed before something may be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    files: Vec<File>,
    /// Beyond those, by device: one file stands for all that are on its file system.
    systems: BTreeMap<u64, File>,
    directories: BTreeSet<PathBuf>,
}

impl Durable {
    pub(crate) fn file(&mut self, file: &File) -> io::Result<()> {
        if self.files.len() <= FLUSH_ALL || cfg!(not(target_os = "linux")) {
            self.files.push(file.try_clone()?);
        } else if let Entry::Vacant(place) = self.systems.entry(file.metadata()?.dev()) {
            place.insert(file.try_clone()?);
        }
        Ok(())
    }

    /// The entry of `path` in its directory.
    pub(crate) fn directory_of(&mut self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.directories.insert(parent.to_path_buf());
        }
        Ok(())
    }

    /// The entry of `path`, and those of directories just made for it.
    pub(crate) fn directories_of(&mut self, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1).take(3) {
            self.directories.insert(directory.to_path_buf());
        }
        Ok(())
    }

    /// Returns once all of it is on disk.
    pub(crate) fn flush(self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.files.len() + self.directories.len() > FLUSH_ALL {
            for system in self.into_systems()?.values() {
                rustix::fs::syncfs(system)?;
            }
            return Ok(());
        }
        for file in &self.files {
            file.sync_data()?;
        }
        for directory in &self.directories {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// A file on each of the file systems, by device: uploads may lie on another than the rows.
    fn into_systems(self) -> io::Result<BTreeMap<u64, File>> {
        let mut systems = self.systems;
        for file in self.files {
            systems.entry(file.metadata()?.dev()).or_insert(file);
        }
        for directory in &self.directories {
            if let Entry::Vacant(place) = systems.entry(fs::metadata(directory)?.dev()) {
                place.insert(File::open(directory)?);
            }
        }
        Ok(systems)
    }
}

/// An append-only file of JSON lines with one writer at a time.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    len: u64,
}

impl Journal {
    /// Opens or makes the file, gives each whole line to `each`, and cuts off a last line that is torn.
    pub(crate) fn open(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = fs::read(path)?;
        let len = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
        for line in bytes[..len].split_inclusive(|&byte| byte == b'\n') {
            each(line);
        }
        if len != bytes.len() {
            file.set_len(len as u64)?;
        }
        Ok(Self { file, len: len as u64 })
    }

    /// Appends whole lines; not yet flushed.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self.file.write_all_at(lines, self.len) {
            Ok(()) => {
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A part of a line must not stay; if it does, the next append writes over it.
                let _ = self.file.set_len(self.len);
                Err(error)
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_process_holds_a_datastore() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("deep/store");
        let first = Store::open(root.clone(), None, 3).unwrap();
        assert!(matches!(Store::open(root.clone(), None, 3), Err(OpenError::Locked(_))));
        drop(first);
        assert_eq!(Store::open(root, None, 8).unwrap().shards, 3, "the number of shards stays");
    }

    #[test]
    fn a_journal_loses_only_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("j.jsonl");
        let mut journal = Journal::open(&path, |_| panic!("empty")).unwrap();
        journal.append(b"{\"a\":1}\n{\"a\":2}\n").unwrap();
        journal.append(b"{\"a\":3}\n").unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut lines = 0;
            let mut journal = Journal::open(&path, |_| lines += 1).unwrap();
            assert_eq!(lines, whole[..cut].iter().filter(|&&b| b == b'\n').count());
            journal.append(b"{\"a\":4}\n").unwrap();
            assert!(fs::read_to_string(&path).unwrap().lines().all(|l| l.starts_with('{') && l.ends_with('}')));
        }
    }

    #[test]
    fn a_flush_of_everything_reaches_each_file_system() {
        let here = tempfile::tempdir().unwrap();
        // Another file system, where there is one.
        let there = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (first, last) =
            (File::create(here.path().join("a")).unwrap(), File::create(there.path().join("b")).unwrap());
        let expected = BTreeSet::from([&first, &last].map(|file| file.metadata().unwrap().dev()));
        let mut durable = Durable::default();
        for _ in 0..2 * FLUSH_ALL {
            durable.file(&first).unwrap();
        }
        durable.file(&last).unwrap();
        assert!(durable.files.len() <= FLUSH_ALL + 1);
        assert_eq!(durable.into_systems().unwrap().into_keys().collect::<BTreeSet<u64>>(), expected);

        let mut durable = Durable::default();
        durable.file(&first).unwrap();
        durable.directory_of(&there.path().join("b")).unwrap();
        assert_eq!(durable.into_systems().unwrap().into_keys().collect::<BTreeSet<u64>>(), expected);
    }

    #[test]
    fn records_are_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/r.json");
        assert_eq!(read_record::<Vec<u8>>(&path).unwrap(), None);
        write_record(&path, &vec![1, 2]).unwrap();
        write_record(&path, &vec![3]).unwrap();
        assert_eq!(read_record::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        fs::write(&path, "{").unwrap();
        assert_eq!(read_record::<Vec<u8>>(&path).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
