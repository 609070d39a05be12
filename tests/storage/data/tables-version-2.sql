-- Tables as version 2 of the schema wrote them.
BEGIN TRANSACTION;
CREATE TABLE account_requests (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	person TEXT NOT NULL, 
	asked_by TEXT NOT NULL, 
	asked BIGINT NOT NULL, 
	role TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	region TEXT NOT NULL, 
	fund TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	decided_by TEXT NOT NULL, 
	decided BIGINT NOT NULL, 
	outcome TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "account_requests" VALUES('aaaabbbbcccc','reset','chen','admin',1795677667342009,'','','','','','',0,'');
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
CREATE TABLE catalogue_leaflets (
	approval TEXT NOT NULL, 
	indications TEXT NOT NULL, 
	usage TEXT NOT NULL, 
	cautions TEXT NOT NULL, 
	storage TEXT NOT NULL, 
	source TEXT NOT NULL, 
	synthetic BOOLEAN NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE NOT NULL, 
	PRIMARY KEY (approval, valid_from)
);
INSERT INTO "catalogue_leaflets" VALUES('国药准字H1','缓解疼痛','','','','',0,'0001-01-01','9999-12-31');
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
	kind TEXT DEFAULT 'key' NOT NULL, 
	sealed TEXT DEFAULT '' NOT NULL, 
	public_key TEXT DEFAULT '' NOT NULL, 
	networks TEXT DEFAULT '' NOT NULL, 
	label TEXT DEFAULT '' NOT NULL, 
	valid_until BIGINT, 
	made_by TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "credentials" VALUES('0123456789abcdef','P44010000001','00112233445566778899aabbccddeeff','5dc2d2cec894a7b34cdb88b7bd0c9f8702e2e236e698fc6d52e19000189db7ff',1795677667052099,NULL,'key','MS1EVe4uqnDEGUNTFaynCtfBmyaI5nQmFxsQvcw2yOaxYjfi+EmI54PquJ3N/svEQ+3I','','','till 1',NULL,'');
INSERT INTO "credentials" VALUES('fedcba9876543210','P44010000002','ffeeddccbbaa99887766554433221100','f3782cd35b5b2d168f7e48466222cbce503419f685b44c7c087bdd82b17ec9db',1795677667055106,1795677667056838,'key','MS3Icp70IgKWLGb5iXApVGfZsq5RSjArWZpC5XdabxgIhCkG8zndjllvu7IVgHVQIQsw','','','',NULL,'');
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema','2');
INSERT INTO "meta" VALUES('node','440000');
CREATE TABLE nhsa_clients (
	institution TEXT NOT NULL, 
	verify TEXT NOT NULL, 
	infcode TEXT NOT NULL, 
	scan_required BOOLEAN NOT NULL, 
	PRIMARY KEY (institution)
);
INSERT INTO "nhsa_clients" VALUES('H44010000001','sm3','number',1);
CREATE TABLE nhsa_sign_ins (
	sign_no TEXT NOT NULL, 
	day TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	party TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	PRIMARY KEY (sign_no)
);
CREATE TABLE passwords (
	name TEXT NOT NULL, 
	kept TEXT NOT NULL, 
	must_change BOOLEAN NOT NULL, 
	changed BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	rests_until BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "passwords" VALUES('chen','scrypt$32768$8$3$BBD0sRiSmixlUpaIpF9giw==$g869S4RYd1RjmBrr+GYzt+wSVStnwJFWajdvBihFCiM=',0,1795677667335900,0,0);
CREATE TABLE people (
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	institution TEXT NOT NULL, 
	region TEXT NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	fund TEXT DEFAULT '' NOT NULL, 
	subject TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "people" VALUES('chen','clerk','P44010000001','',0,'','u1');
INSERT INTO "people" VALUES('li','inspector','','440100',1,'','');
CREATE TABLE sessions (
	id TEXT NOT NULL, 
	person TEXT NOT NULL, 
	begun BIGINT NOT NULL, 
	seen BIGINT NOT NULL, 
	ends BIGINT NOT NULL, 
	client TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "sessions" VALUES('62a0bab3b0c25e481787cdaa25631ae248929ddc9b8a99cb928bb20ee55ab9c8','chen',1795677667343015,1795677667343015,2795677667343015,'Firefox');
CREATE INDEX ix_credentials_institution ON credentials (institution);
CREATE INDEX ix_sessions_person ON sessions (person);
COMMIT;
