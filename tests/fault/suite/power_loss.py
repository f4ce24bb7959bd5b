"""Takes from a folder what a loss of power would take: what its program had not synced when it was killed.

The program runs with environment(), so that tests/support/power_loss keeps a journal of what would have to be undone. All files
of the folder are then as the program left them; lose() plays the journal backwards.

A file's bytes are safe once the file was synced, a name once its folder was; a move is one step, and safe with the folder that it
leads to. Disks write what is not synced in any order, so with a random generator each such write is lost or not, and of names,
which file systems write in order, only the last ones are lost.
"""

import bisect
import collections
import os
import shutil
import struct

_HEADER = struct.Struct("<IIIIQQQQQ")
_WRITE, _TRUNCATE, _CREATE, _REMOVE, _RENAME, _SYNC_FILE, _SYNC_FOLDER, _SYNC_ALL, _VOID = range(1, 10)

Record = collections.namedtuple("Record", "position kind inode offset length old_size path target data")


class PowerLoss:
    """The journal of one folder; both are on one file system, and the journal is not within the folder."""

    def __init__(self, library, folder, journal):
        self._library = library
        self._folder = folder
        self._journal = journal

    def environment(self):
        """Of the program that is going to lose power."""
        return {"LD_PRELOAD": self._library, "DISTILL_POWER_LOSS_DIR": self._folder, "DISTILL_POWER_LOSS_JOURNAL": self._journal}

    def forgive(self):
        """The program was killed and power stays: nothing is lost yet. It may be started again."""
        if os.path.exists(self._journal):
            os.truncate(self._journal, _read(self._journal)[1])

    def lose(self, random=None):
        """The program was killed and power is lost: without a random generator all that was not synced is. Returns how many
        writes and how many changes of names were undone."""
        records, _ = _read(self._journal)
        writes, names = _unsafe(records)
        if random is not None:
            names = names[random.randint(0, len(names)):]
        undone = self._undo_writes(writes, random)
        for record in reversed(names):
            self._undo_name(record)
        for folder, _, files in os.walk(self._folder):
            for name in files:
                if name.endswith("-shm"):
                    os.remove(os.path.join(folder, name))
        os.truncate(self._journal, 0)
        shutil.rmtree(self._journal + ".kept")
        return undone, len(names)

    def _undo_writes(self, writes, random):
        by_inode = collections.defaultdict(list)
        for record in writes:
            by_inode[record.inode].append(record)
        paths = self._paths()
        undone = 0
        for inode, records in by_inode.items():
            survivors = {record.position for record in records if random is not None and random.random() < 0.5}
            undone += len(records) - len(survivors)
            # A temporary file that is gone for good has no path.
            if inode in paths:
                _restore(paths[inode], records, survivors)
        return undone

    def _paths(self):
        """A path of each file, also of those that are kept only for being removed."""
        paths = {}
        for top in (self._folder, self._journal + ".kept"):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(folder, name)
                    paths[os.lstat(path).st_ino] = path
        return paths

    def _undo_name(self, record):
        """The last change of names may not have happened: the process was killed before it."""
        path = os.path.join(self._folder, record.path)
        if record.kind == _CREATE:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)  # With what is in it, synced or not: nothing leads there.
            elif os.path.lexists(path):
                os.remove(path)
        elif record.kind == _REMOVE and not os.path.lexists(path):
            if record.target:
                os.link(self._kept(record.target), path, follow_symlinks=False)
            else:
                os.mkdir(path)
        elif record.kind == _RENAME and not os.path.lexists(path):
            target = os.path.join(self._folder, record.target)
            if os.path.lexists(target):
                os.rename(target, path)
            if record.data:
                os.link(self._kept(record.data.decode()), target, follow_symlinks=False)

    def _kept(self, name):
        return os.path.join(self._journal + ".kept", name)


def _read(journal):
    """The records, and where the last whole one ends: one that was cut short tells of what did not begin."""
    with open(journal, "rb") as file:
        content = file.read()
    records, position = [], 0
    while position + _HEADER.size <= len(content):
        kind, path_size, target_size, _, data_size, inode, offset, length, old_size = _HEADER.unpack_from(content, position)
        path = position + _HEADER.size
        target = path + path_size
        data = target + target_size
        end = data + data_size
        if end > len(content):
            break
        records.append(Record(position, kind, inode, offset, length, old_size, os.fsdecode(content[path:target]),
                              os.fsdecode(content[target:data]), content[data:end]))
        position = end
    return records, position


def _unsafe(records):
    """Writes and changes of names that no sync has made safe."""
    files, folders, everything, void = collections.Counter(), collections.Counter(), 0, set()
    for record in records:
        # Another thread's sync may have begun earlier and end later.
        if record.kind == _SYNC_FILE:
            files[record.inode] = max(files[record.inode], record.offset)
        elif record.kind == _SYNC_FOLDER:
            folders[record.path] = max(folders[record.path], record.offset)
        elif record.kind == _SYNC_ALL:
            everything = max(everything, record.offset)
        elif record.kind == _VOID:
            void.add(record.offset)

    def safe(record):
        if record.kind in (_WRITE, _TRUNCATE):
            synced = files[record.inode]
        else:
            synced = folders[os.path.dirname(record.target if record.kind == _RENAME else record.path) or "."]
        return record.position < max(synced, everything) or record.position in void

    unsafe = [record for record in records if record.kind <= _RENAME and not safe(record)]
    return ([record for record in unsafe if record.kind in (_WRITE, _TRUNCATE)],
            [record for record in unsafe if record.kind not in (_WRITE, _TRUNCATE)])


class _Ranges:
    """Bytes of a file, as ranges that neither touch nor overlap."""

    def __init__(self):
        self._ranges = []

    def add(self, begin, end):
        touched = [r for r in self._ranges if r[0] <= end and begin <= r[1]]
        self._ranges = [r for r in self._ranges if r not in touched]
        bisect.insort(self._ranges, (min([begin, *(r[0] for r in touched)]), max([end, *(r[1] for r in touched)])))

    def gaps(self, begin, end):
        """The parts of a range that are not in here."""
        for first, last in self._ranges:
            if first > begin and begin < end:
                yield begin, min(first, end)
            begin = max(begin, last)
        if begin < end:
            yield begin, end


def _restore(path, records, survivors):
    """Undoes the writes of a file that are no survivors; where one of these wrote later, its bytes stay."""
    size = records[0].old_size
    for record in records:
        if record.position in survivors:
            size = record.offset if record.kind == _TRUNCATE else max(size, record.offset + record.length)
    later = _Ranges()
    with open(path, "r+b") as file:
        for record in reversed(records):
            # A truncation changes all from its place to the end of what was there.
            end = max(record.offset, record.old_size) if record.kind == _TRUNCATE else record.offset + record.length
            if record.position in survivors:
                later.add(record.offset, end)
                continue
            old = record.data.ljust(end - record.offset, b"\0")
            for first, last in later.gaps(record.offset, end):
                file.seek(first)
                file.write(old[first - record.offset:last - record.offset])
        file.truncate(size)
