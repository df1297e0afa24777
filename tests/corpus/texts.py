"""The text files of the corpus: their bytes, by place."""

from __future__ import annotations

__all__ = ["TEXTS"]

CITIES = "Lead ID,City,Payout\ntxn_0001,Zürich,12.50\ntxn_0002,Köln,8.00\n"
PRICES = "Lead ID,City,Payout\r\ntxn_0001,München,€12.50\r\ntxn_0002,Café “Süd”,€8.00\r\n"
RUSSIAN = "Номер,Город\ntxn_0001,Москва\ntxn_0002,Санкт-Петербург\ntxn_0003,Нижний Новгород\n"
JAPANESE = "Lead ID,都市,備考\ntxn_0001,東京都新宿区,ソフトウェア\ntxn_0002,大阪市北区,表示されない\n"
CHINESE = "Lead ID,城市,备注\ntxn_0001,北京市朝阳区,客户已经付款\ntxn_0002,上海市浦东新区,等待确认信息\n"
SALES = "Lead ID,Payout\ntxn_0001,12.50\ntxn_0002,8.00\n"
GERMAN = "Lead ID;Betrag;Ort\ntxn_0001;1.250,00;Köln\ntxn_0002;8,50;Bonn\n"

ENCODINGS = {
    "utf8.csv": CITIES.encode(),
    "utf8-bom.csv": CITIES.encode("utf-8-sig"),
    "utf16-le-bom.csv": b"\xff\xfe" + CITIES.encode("utf-16-le"),
    "utf16-be-bom.csv": b"\xfe\xff" + CITIES.encode("utf-16-be"),
    "utf16-le.csv": CITIES.encode("utf-16-le"),
    "utf16-be.csv": CITIES.encode("utf-16-be"),
    "utf32-le-bom.csv": b"\xff\xfe\0\0" + CITIES.encode("utf-32-le"),
    "utf32-be-bom.csv": b"\0\0\xfe\xff" + CITIES.encode("utf-32-be"),
    "cp1252.csv": PRICES.encode("cp1252"),
    "latin1.csv": CITIES.encode("latin-1"),
    "mac-roman.csv": "Lead ID,Name\ntxn_0001,José\ntxn_0002,François\n".encode("mac_roman"),
    "cp850.csv": CITIES.encode("cp850"),
    "cp1251.csv": RUSSIAN.encode("cp1251"),
    "shift-jis.csv": JAPANESE.encode("cp932"),
    "gb18030.csv": CHINESE.encode("gb18030"),
    "late.csv": b"Lead ID,City\n" + b"txn_0001,Bern\n" * 40 + "txn_0041,Zürich\n".encode("cp1252"),
    "mojibake.csv": CITIES.encode().decode("cp1252").encode(),
    "replacement.csv": "Lead ID,City\ntxn_0001,Z\ufffdrich\ntxn_0002,Bern\n".encode(),
    "surrogate.csv": b"Lead ID,City\ntxn_0001,Bern\ntxn_0002,\xed\xa0\xbd\xed\xb8\x80\n",
    "surrogate-utf16.csv": b"\xff\xfe" + "Lead ID,City\ntxn_0001,".encode("utf-16-le") + b"\x3d\xd8\n\0",
    "nul.csv": b"Lead ID,City\ntxn_0001,Be\0rn\n",
    "ctrl-z.csv": b"Lead ID,City\r\ntxn_0001,Bern\r\n\x1a",
    "ctrl-z-inside.csv": b"Lead ID,City\ntxn_0001,Be\x1arn\n",
    "cut-character.csv": "Lead ID,City\ntxn_0001,Zü".encode()[:-1],
    "emoji-and-right-to-left.csv": "Lead ID,City\ntxn_0001,😀 👩‍👩‍👧\ntxn_0002,ירושלים\n".encode(),
}

DIALECTS = {
    "semicolon.csv": GERMAN.encode(),
    "tab.tsv": CITIES.replace(",", "\t").encode(),
    "pipe.txt": CITIES.replace(",", "|").encode(),
    "tilde.txt": CITIES.replace(",", "~").encode(),
    "hive.txt": CITIES.replace(",", "\x01").encode(),
    "fixed-width.txt": b"Lead ID   City   \ntxn_0001  Bern   \ntxn_0002  Basel  \n",
    "sep-line.csv": b"sep=;\r\nLead ID;Payout\r\ntxn_0001;12,50\r\n",
    "sep-line-quoted.csv": b'"sep=|"\nLead ID|Payout\ntxn_0001|12.50\n',
    "two-delimiters.csv": b"Lead,ID;Pay,out\ntxn,0001;12,50\ntxn,0002;8,00\n",
    "one-column.csv": b"Lead ID\ntxn_0001\ntxn_0002\n",
    "quoted.csv": b'"Lead ID","City, State","Note"\n"txn_0001","Bern, BE","say ""hi"""\n"txn_0002","","a\nb"\n',
    "inches.csv": b'Lead ID,Note\ntxn_0001,fine\ntxn_0002,5" pipe\n',
    "after-quote.csv": b'Lead ID,Note\ntxn_0001,"fine" really\n',
    "unterminated.csv": b'Lead ID,Note\ntxn_0001,fine\ntxn_0002,"open\ntxn_0003,fine\n',
    "apostrophes.csv": b"'Lead ID','Note'\n'txn_0001','a, b'\n'txn_0002','O''Brien'\n",
    "backslash-quote.csv": b'Lead ID,Note\ntxn_0001,"say \\"hi\\" to me"\n',
    "mysql.tsv": b"Lead ID\tNote\ntxn_0001\t\\N\ntxn_0002\ta\\\\b\n",
    "crlf.csv": SALES.replace("\n", "\r\n").encode(),
    "cr.csv": SALES.replace("\n", "\r").encode(),
    "mixed-ends.csv": b"Lead ID,Payout\r\ntxn_0001,12.50\ntxn_0002,8.00\r\n",
    "no-last-end.csv": SALES.encode()[:-1],
    "lone-cr.csv": b"Lead ID,Note\ntxn_0001,a\rb\ntxn_0002,fine\n",
    "cr-with-lf.csv": b"Lead ID,Note\rtxn_0001,a\rtxn_0002,b\ntxn_0003,c\r",
    "lf-cr.csv": b"Lead ID,Note\rtxn_0001,a\rtxn_0002,b\n\rtxn_0003,c\r",
    "cr-cr-lf.csv": b"Lead ID,Note\r\r\ntxn_0001,a\r\r\n",
    "blanks-before-quotes.csv": b'Lead ID, Note\ntxn_0001, "a, b"\n',
}

SHAPES = {
    "title.csv": b"Payouts of March\nLead ID,Payout\ntxn_0001,12.50\ntxn_0002,8.00\n",
    "titles-and-blank.csv": b"Payouts,,\r\nMarch 2025,,\r\n,,\r\nLead ID,Payout,City\r\ntxn_0001,12.50,Bern\r\n",
    "title-unclear.csv": b"Payouts of March\nLead ID,Payout\ntxn_0001,12.50\ntxn_0002\n",
    "units-line.csv": b"Lead ID,Payout\n(text),(USD)\ntxn_0001,12.50\n",
    "blank-rows.csv": b"Lead ID,Payout\n\ntxn_0001,12.50\n,\n\ntxn_0002,8.00\n\n\n",
    "blank-first.csv": b"\n\nLead ID,Payout\ntxn_0001,12.50\n",
    "trailing-commas.csv": b"Lead ID,Payout,,\ntxn_0001,12.50,,\ntxn_0002,8.00,,\n",
    "trailing-comma-in-rows.csv": b"Lead ID,Payout\ntxn_0001,12.50,\ntxn_0002,8.00,\n",
    "duplicate-names.csv": b"Lead ID,Payout,Payout\ntxn_0001,12.50,13.00\n",
    "alike-when-trimmed.csv": b"Lead ID,Payout, Payout \ntxn_0001,12.50,13.00\n",
    "padded-names.csv": b" Lead ID , Payout\ntxn_0001,12.50\n",
    "names-by-case.csv": b"Lead ID,Payout,PAYOUT\ntxn_0001,12.50,13.00\n",
    "two-line-name.csv": b'Lead ID,"Payout\nUSD"\ntxn_0001,12.50\n',
    "no-header.csv": b"txn_0001,12.50,03/14/2025\ntxn_0002,8.00,03/15/2025\n",
    "header-alone.csv": b"Lead ID,Payout\n",
    "empty.csv": b"",
    "only-a-mark.csv": b"\xef\xbb\xbf",
    "only-blanks.csv": b"\n\n\n",
    "long-row.csv": b"Lead ID,Payout\ntxn_0001,12.50\ntxn_0002,8,00\n",
    "short-row.csv": b"Lead ID,Payout,City\ntxn_0001,12.50,Bern\ntxn_0002,8.00\n",
    "torn.csv": b"Lead ID,Payout,City\ntxn_0001,12.50,Bern\ntxn_0002,8.0",
    "cut-in-a-cell.csv": b"Lead ID,Payout\ntxn_0001,12.50\ntxn_0002,8.0",
    "cut-at-a-line.csv": b"Lead ID,Payout\ntxn_0001,12.50\n",
    "cut-in-quotes.csv": b'Lead ID,Note\ntxn_0001,"fine"\ntxn_0002,"a no',
    "joined.csv": b"Lead ID,Payout\ntxn_0001,12.50\nLead ID,Payout\ntxn_0002,8.00\n",
    "joined-without-end.csv": b"Lead ID,Payout\ntxn_0001,12.50Lead ID,Payout\ntxn_0002,8.00\n",
    "joined-two-delimiters.csv": b"Lead ID,Payout\ntxn_0001,12.50\nLead ID;Payout\ntxn_0002;8.00\n",
    "header-with-a-quote.csv": b'Lead "ID,Name\ntxn,Anna\nTXN,Ben\n',
    "mark-inside.csv": b"Lead ID,Payout\ntxn_0001,12.50\n\xef\xbb\xbfLead ID,Payout\ntxn_0002,8.00\n",
    "merge-conflict.csv": b"Lead ID,Payout\n<<<<<<< mine\ntxn_0001,12.50\n=======\ntxn_0001,13.00\n>>>>>>> theirs\n",
    "comment.csv": b"# exported 2025-03-14\nLead ID,Payout\ntxn_0001,12.50\ntxn_0002,8.00\n",
}

FOREIGN = {
    "login-page.csv": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in</body></html>\n",
    "html-table.csv": b"\n  <table><tr><td>Lead ID</td></tr></table>\n",
    "objects.csv": b'[\n  {"lead_id": "txn_0001", "payout": 12.50}\n]\n',
    "json-lines.csv": b'{"lead_id": "txn_0001", "payout": 12.50}\n{"lead_id": "txn_0002", "payout": 8.00}\n',
    "error.csv": b'{"error": "token expired"}\n',
    "markup.csv": b'<?xml version="1.0"?>\n<leads><lead id="txn_0001"/></leads>\n',
    "report.csv": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
    "old-excel.csv": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "old-excel.xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "text.xlsx": SALES.encode(),
    "text.parquet": SALES.encode(),
    "text.csv.gz": SALES.encode(),
    "noise.csv.gz": bytes(range(1, 256)),
    "database.csv": b"SQLite format 3\0" + bytes(84),
    "mail.csv": b"From: reports@example.com\nSubject: Payouts\n\nSee the attachment.\n",
    "not-found.csv": b"404 Not Found\n",
}

MONEY = """Lead ID,Payout
m01,12.50
m02,"$1,250.00"
m03,USD 45
m04,45 €
m05,"1,250"
m06,"1.250,00"
m07,"12,5"
m08,(45.00)
m09,-45
m10,
m11,0
m12,0.00
m13,NaN
m14,Infinity
m15,1e3
m16,1'250.00
m17,1 250.00
m18,12.505
m19,0.1234567891
m20,1234567890123456
m21,twelve
m22,.50
m23,007
m24,"1,25,000.00"
m25,$
m26,12.50 USD
m27,--5
m28,12.50.00
"""

DATES = """Lead ID,Sold At
d01,2025-03-04
d02,2025-03-04 16:30
d03,2025-03-04T16:30:15
d04,2025-03-04T16:30:15.250Z
d05,2025-03-04T16:30:15-05:00
d06,03/04/2025
d07,2025-02-29
d08,2024-02-29
d09,2025-03-04 24:00
d10,2025-03-04 23:59:60
d11,45306
d12,20250304
d13,0000-00-00
d14,1899-12-31
d15,2101-01-01
d16,tomorrow
d17,
d18,2025-3-4
d19,2025-13-04
"""

VALUES = {
    "money.csv": MONEY.encode(),
    "money-german.csv": b"Lead ID;Payout\nm01;1.250,00\nm02;12,5\nm03;1.250\nm04;1,250\nm05;12.5\nm06;-8,00 EUR\n",
    "dates.csv": DATES.encode(),
    "dates-us.csv": b"Lead ID,Sold At\nd01,03/14/2025\nd02,14/03/2025\nd03,03/04/2025\nd04,02/29/2025\n"
    b"d05,2025-03-14\n",
    "dates-two-formats.csv": b"Lead ID,Sold At\nd01,03/14/2025\nd02,14.03.2025\nd03,3/4/25\nd04,04.03.2025\n",
    "summer-time.csv": b"Lead ID,Sold At\n"
    b"d01,03/09/2025 01:59\nd02,03/09/2025 02:30\nd03,03/09/2025 03:00\n"
    b"d04,11/02/2025 00:59\nd05,11/02/2025 01:30\nd06,11/02/2025 02:00\nd07,07/01/2025 13:05\n",
    "excel-days.csv": b"Lead ID,Sold At\nd01,45306\nd02,45306.5\nd03,60\nd04,61\nd05,2025-03-04\nd06,45306.999999\n",
    "phones.csv": b"Lead ID,Phone\n"
    b"p01,2125550123\np02,(212) 555-0123\np03,+1 212.555.0123\np04,1-212-555-0123\np05,212-555-0123 x45\n"
    b"p06,555-0123\np07,2.12555E+09\np08,2125550123.0\np09,+44 20 7946 0958\np10,0012125550123\np11,212555O123\n",
    "states.csv": b"Lead ID,State\ns01,NY\ns02,ny\ns03,New York\ns04,N.Y.\ns05,puerto rico\ns06,PR\ns07,Ontario\n"
    b's08,"Washington, D.C."\ns09,NYC\ns10,AE\n',
    "zips.csv": b"Lead ID,Zip\nz01,02134\nz02,2134\nz03,501\nz04,02134-1234\nz05,2134-1234\nz06,021341234\n"
    b"z07,SW1A 1AA\nz08,12\nz09,02134.0\nz10,2.13E+03\n",
    "booleans.csv": b"Lead ID,Owner\nb01,Yes\nb02,no\nb03,TRUE\nb04,0\nb05,J\nb06,maybe\nb07,\nb08,x\n",
    "excel-work.csv": b'Lead ID,Note,Zip\n"=""e01""",plain,"=""02134"""\n'
    b"e02,'+1 212 555 0123,'02134\ne03,#N/A,02134\ne04,#REF!,02134\ne05,=A1+B1,02134\n"
    b"1.02E+17,rounded,02134\n'e07,kept,02134\n",
    "invisible.csv": "Lead ID,Note\n\u00a0i01\u00a0,\u200bfine\u200b\ni\u200b02,fine\ni03,in\u200bside\n"
    "i\u00ad04,fine\n"
    'i05,bell\x07\n"i06\nx",fine\ni07,"two\nlines"\n'.encode(),
    "null-words.csv": b"Lead ID,Note\nn01,NULL\nn02,None\nn03,n/a\nn04, N/A \nn05,-\nNULL,fine\n",
    "ids.csv": b"Lead ID,Note\n00123,a\n123456789012345678901,b\n12e5,c\n1.2e5,d\n,e\nTXN-9/..?#,f\n=1,g\n",
    "emails.csv": b"Lead ID,Email\ne01,a@example.com\ne02,A.B+c@Example.COM\ne03,a@@example.com\ne04,a@example\n"
    b"e05, a@b.co \ne06,a@example.com;b@example.com\n",
    "totals.csv": b"Lead ID,Payout\nt01,12.50\nt02,8.00\n,20.50\n",
    "totals-named.csv": b"Lead ID,Payout\nt01,12.50\nTotal,12.50\nt02,8.00\nSubtotal:,8.00\nGrand total,20.50\n",
    "statuses.csv": b"Lead ID,Status\nl01,Funded\nl02, FUNDED \nl03,Declined\nl04,\nl05,Returned\n",
    "spreadsheet-guards.csv": b"batchpost_row,Lead ID,Note\n'1,'00123,'=1+1\n",
}

NAMES = {
    "two words.csv": SALES.encode(),
    "-dash.csv": SALES.encode(),
    "[abc].csv": SALES.encode(),
    "größe.csv": SALES.encode(),
    "UPPER.CSV": SALES.encode(),
    "data.dat": SALES.encode(),
    "data.json": b"[]\n",
    "folder/a.csv": SALES.encode(),
    "folder/b.csv": b"Lead ID,Payout\ntxn_0003,4.00\n",
    "folder/_note.csv": b"not a table\n",
    "other-columns/a.csv": SALES.encode(),
    "other-columns/b.csv": b"Lead ID,Amount\ntxn_0003,4.00\n",
}

_GROUPS = {
    "encodings": ENCODINGS,
    "dialects": DIALECTS,
    "shapes": SHAPES,
    "foreign": FOREIGN,
    "values": VALUES,
    "names": NAMES,
}
TEXTS = {f"{group}/{name}": content for group, files in _GROUPS.items() for name, content in files.items()}
