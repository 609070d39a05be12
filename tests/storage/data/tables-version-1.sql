-- Tables as version 1 of the schema wrote them.
BEGIN TRANSACTION;
CREATE TABLE catalogue_delegations (
	grantor TEXT NOT NULL, 
	delegate TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (grantor, delegate, valid_from)
);
INSERT INTO "catalogue_delegations" VALUES('P44010000001','V1','代传','2026-01-01','2099-12-31');
CREATE TABLE catalogue_edges (
	"left" TEXT NOT NULL, 
	"right" TEXT NOT NULL, 
	reviewed BOOLEAN NOT NULL, 
	source TEXT NOT NULL, 
	confidence BIGINT NOT NULL, 
	reviewer TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY ("left", "right", valid_from)
);
CREATE TABLE catalogue_exemptions (
	product_class TEXT NOT NULL, 
	setting TEXT NOT NULL, 
	split_only BOOLEAN NOT NULL, 
	name TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (product_class, setting, split_only, valid_from)
);
INSERT INTO "catalogue_exemptions" VALUES('herbal_slices','',0,'herbal_slices','0001-01-01','9999-12-31');
INSERT INTO "catalogue_exemptions" VALUES('granules','',0,'granules','0001-01-01','9999-12-31');
INSERT INTO "catalogue_exemptions" VALUES('','inpatient',1,'inpatient_split','0001-01-01','9999-12-31');
CREATE TABLE catalogue_maker_schemes (
	scheme TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	source TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (scheme, valid_from)
);
INSERT INTO "catalogue_maker_schemes" VALUES('virtual','SYV(?P<serial>\d{12})','','platform','0001-01-01','9999-12-31');
CREATE TABLE catalogue_no_code (
	institution TEXT NOT NULL, 
	nhsa TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	quantity BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	reference TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (institution, nhsa, kind, valid_from)
);
CREATE TABLE catalogue_packages (
	product_key TEXT NOT NULL, 
	units BIGINT NOT NULL, 
	units_reviewed BOOLEAN NOT NULL, 
	"inner" TEXT NOT NULL, 
	inner_count BIGINT NOT NULL, 
	source TEXT NOT NULL, 
	reviewer TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (product_key, valid_from)
);
CREATE TABLE catalogue_parties (
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	region TEXT NOT NULL, 
	standing TEXT NOT NULL, 
	sensitive BOOLEAN NOT NULL, 
	chain TEXT NOT NULL, 
	synthetic BOOLEAN NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (code, valid_from)
);
INSERT INTO "catalogue_parties" VALUES('P44010000001','示例药房','pharmacy','440106','active',0,'',0,'0001-01-01','9999-12-31');
CREATE TABLE catalogue_prefixes (
	product_key TEXT NOT NULL, 
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	level BIGINT NOT NULL, 
	ratio TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	source TEXT NOT NULL, 
	synthetic BOOLEAN NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (product_key, valid_from)
);
CREATE TABLE catalogue_products (
	nhsa TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	generic TEXT NOT NULL, 
	english TEXT NOT NULL, 
	trade TEXT NOT NULL, 
	form TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	company TEXT NOT NULL, 
	company_name TEXT NOT NULL, 
	approval TEXT NOT NULL, 
	std_code TEXT NOT NULL, 
	ean13 TEXT NOT NULL, 
	list_class TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	exempt TEXT NOT NULL, 
	splittable BOOLEAN NOT NULL, 
	unit TEXT NOT NULL, 
	price BIGINT NOT NULL, 
	market TEXT NOT NULL, 
	synthetic BOOLEAN NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (nhsa, valid_from)
);
CREATE TABLE catalogue_transcodes (
	former TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (former, valid_from)
);
CREATE TABLE catalogue_virtual_codes (
	"key" TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	nhsa TEXT NOT NULL, 
	quantity BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY ("key", valid_from)
);
CREATE TABLE credentials (
	id TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	salt TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	revoked BIGINT, 
	PRIMARY KEY (id)
);
INSERT INTO "credentials" VALUES('0123456789abcdef','P44010000001','00112233445566778899aabbccddeeff','7e938fc44e234bcdd4050c195298392ef70934b0d51c9cf4ca3d192b289a6e9d',1795667089994588,NULL);
INSERT INTO "credentials" VALUES('fedcba9876543210','P44010000002','ffeeddccbbaa99887766554433221100','a5278d111c4ab300f7187fdd75f8abd84c3c9525256a486ef47bea6ba7f219d5',1795667089998615,1795667090001998);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('node','440000');
CREATE TABLE people (
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	region TEXT NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "people" VALUES('li','inspector','','440100',0);
INSERT INTO "people" VALUES('old','institution','P44010000001','',1);
CREATE INDEX ix_credentials_institution ON credentials (institution);
COMMIT;
