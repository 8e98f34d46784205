"""Archives as push parsers: bytes go in, pieces and events come out; no I/O, no waiting, state that rests at any byte.

`gunzip.py` decodes gzip (`gzip_header.py` reads the beginning of its frame), `untar.py` reads the decoded tar
(`headers.py` knows the fields) and speaks in `events.py`; `faults.py` names what can be wrong. A network error never
passes through here: it is raised where the bytes are read, so that an archive's fault and a line's fault cannot be
taken for one another.

Example:
    >>> import gzip
    >>> from roco_async.archive.gunzip import Gunzip
    >>> from roco_async.archive.untar import Untar
    >>> gunzip, untar = Gunzip(), Untar()
    >>> for piece in gunzip.feed(gzip.compress(bytes(1024))):
    ...     for event in untar.feed(piece):
    ...         print(event)
    ArchiveEnd()
    >>> gunzip.checked
    True
"""
