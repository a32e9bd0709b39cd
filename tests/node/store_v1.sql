-- A store as version 1 made it (three records, one of 1,200 bytes): never edit, every later version must open it.
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('version', 1);
INSERT INTO kv VALUES(x'00ff', x'');
INSERT INTO kv VALUES(x'7232', zeroblob(1200));
INSERT INTO kv VALUES(x'7231', x'76616c7565');
