"""Words of headers, months and statuses, as tables: one row per meaning and language.

The names of months and weekdays come from the locale data of Babel. To add a language, add its code
to `LANGUAGES` and its words to the tables.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

LANGUAGES = (
    "en",
    "fr",
    "da",
    "de",
    "sv",
    "nb",
    "nl",
    "es",
    "it",
    "pt",
    "fi",
    "pl",
    "cs",
    "tr",
    "ru",
)

# Best words first, in each language and over the languages. `last` are words of any language that
# are taken only if there is no better one.
_HEADERS = {
    "customer": {
        "en": """customer id, customerid, customer no, customer number, customer, client id, client,
            cust id""",
        "fr": "id client, numero client, n client, no client, code client, ref client",
        "da": "kundenr, kundenummer, kunde nr, kunde id, kundeid",
        "de": "kunden id, kundennummer, kunden nr, kundennr, kunde",
        "sv": "kundnummer, kundnr, kund id, kund",
        "nl": "klantnummer, klantnr, klant id, klantid, klant",
        "es": "id cliente, numero cliente, n cliente, codigo cliente, cliente",
        "it": "codice cliente, numero cliente",
        "pt": "codigo do cliente, id do cliente, comprador",
        "fi": "asiakasnumero, asiakas",
        "pl": "id klienta, klient, numer klienta",
        "cs": "cislo zakaznika, zakaznik",
        "tr": "musteri id, musteri no, musteri",
        "ru": "клиент, покупатель",
        "ja": "顧客id, 顧客番号, 顧客, 会員id, 会員番号",
        "zh": "客户id, 客户编号, 客户, 会员",
        "ko": "고객",
        "last": """user id, userid, member id, account id, account no, account, buyer id, buyer,
            shopper id, person id, contact id, donor id, donor, customer email, email address,
            email, e mail, customer name, id""",
    },
    "date": {
        "en": """order date, purchase date, transaction date, invoice date, date of order, date of
            purchase, date, order time, ordered at, created at, order timestamp, timestamp,
            invoicedate, orderdate""",
        "fr": """date de commande, date commande, date de la commande, date achat, date d achat,
            date facture, date de facture, date de vente""",
        "da": "ordredato, ordre dato, bestillingsdato, koebsdato, kobsdato, fakturadato, dato",
        "de": "bestelldatum, auftragsdatum, kaufdatum, rechnungsdatum, buchungsdatum, datum",
        "sv": "orderdatum, bestallningsdatum, inkopsdatum, kopdatum, fakturadatum",
        "nb": "kjopsdato",
        "nl": "besteldatum, aankoopdatum, factuurdatum",
        "es": """fecha de pedido, fecha del pedido, fecha pedido, fecha de compra, fecha compra,
            fecha factura, fecha de venta, fecha""",
        "it": "data ordine, data acquisto, data fattura",
        "pt": "data do pedido, data pedido, data da compra, data compra, data da venda, data",
        "fi": "tilauspaiva, paivamaara",
        "pl": "data zamowienia, data zakupu",
        "cs": "datum objednavky",
        "tr": "siparis tarihi, tarih",
        "ru": "дата",
        "ja": "注文日, 購入日, 日付",
        "zh": "订单日期, 下单时间, 付款时间, 日期",
        "ko": "날짜",
        "last": "day, time",
    },
    "amount": {
        "en": """order amount, order value, order total, total amount, amount, total price, line
            total, grand total, net amount, gross amount, revenue, sales amount, sales, turnover,
            dollar value, total value, value, total, net sales, payment, paid""",
        "fr": """montant total, montant ttc, montant, chiffre d affaires, total ttc, prix total,
            total commande""",
        "da": "ordrebelob, ordretotal, totalbelob, belob, omsaetning, total inkl moms, i alt",
        "de": """gesamtbetrag, rechnungsbetrag, bestellwert, betrag, umsatz, gesamtpreis, summe,
            gesamtsumme, bruttobetrag, nettobetrag""",
        "sv": "orderbelopp, ordervarde, totalbelopp, belopp, summa, omsattning",
        "nb": "ordresum, totalsum, omsetning, sum",
        "nl": "orderbedrag, totaalbedrag, bedrag, omzet, totaal",
        "es": "importe total, importe, ventas, monto total, monto",
        "it": "importo totale, importo, totale, ricavo, fatturato",
        "pt": "valor total, valor do pedido, valor, montante",
        "fi": "loppusumma",
        "pl": "kwota, wartosc",
        "cs": "castka, celkem",
        "tr": "tutar",
        "ru": "сумма",
        "ja": "金額, 売上",
        "zh": "实付金额, 金额",
        "ko": "금액",
        "last": "price paid, gift",
    },
    "quantity": {
        "en": "quantity, qty, units, number of items, items",
        "fr": "quantite, qte, nombre d articles",
        "da": "antal, stk",
        "de": "menge, anzahl, stueck, stuck, stueckzahl, stuckzahl",
        "nb": "antall",
        "nl": "aantal",
        "es": "cantidad, unidades",
        "it": "quantita",
        "pt": "quantidade, qtd",
        "pl": "ilosc",
        "cs": "mnozstvi",
        "tr": "adet",
        "ru": "количество",
        "ja": "数量, 個数",
        "last": "number of cds",
    },
    "price": {
        "en": "unit price, unitprice, price per unit, price",
        "fr": "prix unitaire, prix",
        "da": "stykpris, enhedspris, pris",
        "de": "einzelpreis, stueckpreis, stuckpreis, preis",
        "sv": "styckpris, a pris",
        "nb": "stykkpris, enhetspris",
        "nl": "stukprijs, prijs",
        "es": "precio unitario, precio",
        "it": "prezzo unitario, prezzo",
        "pt": "preco unitario, valor unitario, preco",
        "pl": "cena",
        "tr": "fiyat",
        "ru": "цена",
        "ja": "単価",
        "zh": "单价",
    },
    "currency": {
        "en": "currency, currency code, iso currency",
        "fr": "devise, monnaie",
        "de": "waehrung, wahrung",
        "nl": "munt, muntsoort",
        "es": "moneda, divisa",
        "it": "valuta",
        "pt": "moeda",
        "pl": "waluta",
        "cs": "mena",
        "tr": "para birimi",
        "ru": "валюта",
        "ja": "通貨",
        "zh": "货币, 币种",
    },
    "order": {
        "en": """order id, orderid, order number, order no, order, invoice no, invoiceno, invoice
            number, invoice id, invoice, transaction id, receipt id, receipt""",
        "fr": """numero de commande, numero commande, n commande, n de commande, commande, numero
            facture, n facture, n de facture, facture""",
        "da": "ordrenr, ordrenummer, ordre nr, ordre id, ordre, fakturanr, fakturanummer, faktura",
        "de": """bestellnummer, bestell nr, bestellnr, bestell id, auftragsnummer, auftragsnr,
            rechnungsnummer, rechnungsnr, belegnummer, belegnr""",
        "sv": "ordernummer, ordernr, bestallningsnummer, kvittonummer",
        "nb": "bestillingsnummer, bestillingsnr",
        "nl": "bestelnummer, factuurnummer",
        "es": "numero de pedido, numero pedido, n pedido, id pedido, pedido, factura",
        "it": "numero ordine, n ordine, id ordine, ordine, numero fattura, fattura",
        "pt": "numero do pedido, id do pedido, nota fiscal, encomenda",
        "pl": "zamowienie, numer zamowienia",
        "cs": "cislo objednavky",
        "tr": "siparis no",
        "ru": "заказ",
        "ja": "注文番号",
        "zh": "订单号, 订单编号",
    },
    "opened": {
        "en": """opened, opened at, opened on, date opened, open date, opening date, created,
            created at, created on, date created, reported, reported on""",
        "fr": "ouvert, ouvert le, cree le",
        "da": "abnet, oprettet",
        "de": "eroffnet, eroffnet am, angelegt, angelegt am, erstellt",
        "sv": "oppnad, skapad",
        "nb": "apnet, opprettet",
        "nl": "geopend, geopend op",
        "es": "abierto, fecha apertura, fecha de apertura",
        "it": "aperto, data apertura",
        "pt": "aberto, data de abertura",
        "last": "case date, date, datum, fecha, data, dato, day",
    },
    "closed": {
        "en": """closed, closed at, closed on, date closed, close date, closing date, resolved,
            resolved at, resolved on, date resolved, completed""",
        "fr": "ferme, ferme le, cloture",
        "da": "lukket",
        "de": "geschlossen, geschlossen am, erledigt, erledigt am",
        "sv": "stangd",
        "nl": "gesloten, gesloten op",
        "es": "cerrado, fecha cierre, fecha de cierre",
        "it": "chiuso, data chiusura",
        "pt": "fechado, data de fechamento",
    },
    "score": {
        "en": """score, rating, satisfaction, satisfaction score, nps, nps score, csat, ces, stars,
            grade, mark, answer, response, result, points, likelihood to recommend""",
        "fr": "note, satisfaction client, reponse",
        "da": "tilfredshed, karakter",
        "de": "bewertung, zufriedenheit, punkte, antwort",
        "sv": "betyg, nojdhet",
        "nl": "cijfer, tevredenheid",
        "es": "puntuacion, valoracion, satisfaccion",
        "it": "punteggio, voto, soddisfazione",
        "pt": "nota, pontuacao, satisfacao",
        "last": "value",
    },
    "kind": {
        "en": """kind, channel, contact channel, type, touchpoint, touchpoint type, contact type,
            interaction type, case type, category, reason, topic, subject, medium, event""",
        "fr": "canal, motif, categorie",
        "da": "slags, arsag",
        "de": "kanal, art, typ, kategorie, grund",
        "sv": "slag, orsak",
        "nl": "kanaal, soort, reden",
        "es": "tipo, categoria, motivo",
        "it": "canale",
        "pt": "motivo do contato",
    },
    "action": {
        "en": """action, action name, campaign, campaign name, treatment, offer, offer name,
            promotion, intervention, measure, kind, type, channel, name""",
        "fr": "campagne, offre",
        "da": "handling, tilbud",
        "de": "aktion, kampagne, massnahme, angebot",
        "sv": "atgard, kampanj, erbjudande",
        "nl": "actie, aanbieding",
        "es": "accion, campana, oferta",
        "it": "azione, campagna, offerta",
        "pt": "acao, campanha",
    },
    "cost": {
        "en": "cost, costs, unit cost, cost per contact, action cost, expense, spend, price",
        "fr": "cout, couts",
        "da": "omkostning, omkostninger",
        "de": "kosten",
        "sv": "kostnad",
        "es": "coste, costo",
        "pt": "custo",
        "last": "amount",
    },
    "status": {
        "en": "order status, status, payment status, financial status, order state",
        "fr": "statut de la commande, statut commande, statut, etat",
        "da": "ordrestatus",
        "de": "bestellstatus, auftragsstatus, zahlungsstatus",
        "sv": "orderstatus, betalningsstatus",
        "nl": "bestelstatus",
        "es": "estado del pedido, estado",
        "it": "stato ordine, stato",
        "pt": "situacao do pedido, situacao",
        "pl": "status zamowienia",
        "ru": "статус",
        "ja": "注文状況",
        "zh": "订单状态",
    },
    "refund": {
        "en": """refunded amount, refund amount, amount refunded, total refunded, total refund,
            refunded total, refunded, refund, refunds, order refund amount, refund total,
            refunds total, refund value, refunded value, returned amount, return amount, amount
            returned""",
        "fr": "rembourse, montant rembourse, remboursement",
        "da": "refunderet, refunderet belob, tilbagebetalt belob",
        "de": "erstattet, erstattung, erstatteter betrag, erstattungsbetrag",
        "sv": "aterbetalt, aterbetalt belopp",
        "nb": "refundert, refundert belop",
        "nl": "terugbetaald, terugbetaald bedrag",
        "es": "reembolso, importe reembolsado",
        "it": "rimborso, importo rimborsato",
        "pt": "valor reembolsado",
    },
}  # fmt: skip
_PERSONAL = {
    "en": """name, first name, last name, surname, full name, customer name, email, e mail, mail,
        phone, telephone, mobile, address, street, zip, postcode, postal code, city, birth,
        birthday, birthdate, date of birth, dob, gender, sex, age, ip, ip address, iban, card
        number, passport, ssn""",
    "fr": """nom, prenom, adresse, rue, code postal, ville, courriel, date de naissance, sexe""",
    "da": "navn, fornavn, efternavn, vej, postnr, postnummer, by, fodselsdag, fodselsdato, cpr",
    "de": """vorname, nachname, telefon, anschrift, strasse, plz, ort, stadt, geburtsdatum,
        geburtstag, geschlecht""",
    "sv": "namn, fornamn, efternamn, adress, ort, fodelsedatum, personnummer",
    "nb": "etternavn, poststed, fodselsnummer",
    "nl": "naam, voornaam, achternaam, adres, straat, woonplaats, geboortedatum, geslacht",
    "es": "nombre, apellido, apellidos, direccion, calle, ciudad, correo, fecha de nacimiento",
    "it": "nome, cognome, indirizzo, via, citta, data di nascita, sesso",
    "pt": "sobrenome, endereco, rua, cidade, cep, data de nascimento, cpf",
}  # fmt: skip
# What a status says of an order: a sale, no sale, or something for the user to decide.
_STATUSES = {
    "sale": {
        "en": """complete, completed, paid, shipped, partially shipped, delivered, processing,
            processed, fulfilled, partially fulfilled, unfulfilled, sent, dispatched, invoiced,
            approved, succeeded, success, successful, done, ok, confirmed, finished, finalized,
            captured, settled, accepted, sold, picked up, ready for pickup, in transit, shipped
            delivered to buyer, shipped picked up, awaiting fulfillment, awaiting shipment,
            awaiting pickup, payment accepted, remote payment accepted, on backorder paid, paid and
            shipped, preparation in progress, processing in progress, charge, sale, invoice""",
        "fr": """paye, payee, expedie, expediee, livre, livree, termine, terminee, en cours de
            preparation, paiement accepte, paiement a distance accepte""",
        "da": "gennemfort, betalt, afsendt, leveret, afsluttet",
        "de": """bezahlt, versandt, versendet, geliefert, zugestellt, abgeschlossen, erledigt,
            komplett abgeschlossen, komplett bezahlt, komplett ausgeliefert, rechnung""",
        "sv": "slutford, betald, skickad, levererad",
        "nb": "fullfort, sendt, levert",
        "nl": "betaald, verzonden, geleverd, bezorgd, afgerond, voltooid",
        "es": "pagado, pagada, enviado, enviada, entregado, entregada, completado, completada",
        "it": "pagato, pagata, spedito, consegnato, completato, completata",
        "pt": "pago, paga, pago confirmado, entregue, concluido, concluida",
    },
    "no sale": {
        "en": """cancelled, canceled, cancel, cancellation, void, voided, refunded, fully refunded,
            refund, returned, return, failed, failure, rejected, declined, denied, trash, trashed,
            deleted, removed, draft, checkout draft, auto draft, test, test order, testing,
            chargeback, charge back, charged back, pending payment, wc pending, payment pending,
            awaiting payment, awaiting funds, waiting for payment, unpaid, not paid, payment failed,
            payment error, error, expired, abandoned, incomplete, uncollectible, fraud, fraudulent,
            suspected fraud, reversed, reversal, revoked, quote, quotation, unavailable, out of
            stock, blocked, aborted, requires payment method, requires action, incomplete expired,
            lost, stolen, undeliverable, undelivered, not delivered, shipped returned to seller,
            shipped returning to seller, shipped rejected by buyer, shipped undeliverable, credit,
            credit note, credit memo, refund issued, awaiting check payment, awaiting bank wire
            payment, awaiting bank transfer, not finished, unpaid item, paypal reversed, on
            backorder not paid, never paid""",
        "fr": """annule, annulee, supprime, supprimee, expire, expiree, rembourse, remboursee,
            retourne, retournee, echoue, echouee, echec, refuse, refusee, rejete, rejetee, impaye,
            impayee, brouillon, abandonne, abandonnee, en attente de paiement, attente paiement,
            commande de test, erreur de paiement, en attente du paiement, en attente du paiement
            par cheque, en attente de virement bancaire, non paye, non payee, avoir""",
        "da": """annulleret, aflyst, slettet, udlobet, refunderet, tilbagebetalt, returneret,
            retur, mislykkedes, mislykket, fejlet, afvist, ubetalt, afventer betaling, kladde,
            testordre, ikke betalt, kreditnota""",
        "de": """storniert, storno, abgebrochen, geloscht, geloescht, abgelaufen, erstattet,
            ruckerstattet, rueckerstattet, retourniert, retoure, ruckgabe, fehlgeschlagen,
            abgelehnt, unbezahlt, entwurf, zahlung ausstehend, warten auf zahlung,
            testbestellung, nicht bezahlt, zahlung fehlgeschlagen, wiedergutschrift, gutschrift,
            der zahlvorgang wurde abgebrochen, stornorechnung""",
        "sv": """avbruten, avbrutet, annullerad, makulerad, raderad, aterbetald, aterbetalt,
            returnerad, misslyckades, misslyckad, avvisad, obetald, vantar pa betalning, utkast,
            inte betald, ej betald""",
        "nb": """kansellert, avbrutt, annullert, refundert, tilbakebetalt, returnert, mislyktes,
            feilet, avslatt, venter pa betaling, avventer betaling""",
        "nl": """geannuleerd, verwijderd, verlopen, terugbetaald, geretourneerd, retour, mislukt,
            geweigerd, afgewezen, onbetaald, wachtend op betaling, in afwachting van betaling,
            concept, niet betaald, creditnota""",
        "es": """cancelado, cancelada, anulado, anulada, eliminado, caducado, reembolsado,
            reembolsada, devuelto, devuelta, fallido, fallida, rechazado, rechazada, impagado,
            pendiente de pago, pago pendiente, borrador, prueba, no pagado, no pagada, nota de
            credito, abono""",
        "it": """annullato, annullata, cancellato, cancellata, scaduto, rimborsato, rimborsata,
            reso, restituito, fallito, fallita, rifiutato, rifiutata, non pagato,
            in attesa di pagamento, bozza, prova, nota di credito""",
        "pt": """excluido, expirado, devolvido, devolvida, estornado, falhou, malsucedido,
            malsucedida, recusado, recusada, nao pago, aguardando pagamento, pagamento pendente,
            rascunho, teste""",
    },
    "open": {
        "en": """on hold, holded, hold, pending, open, new, created, authorized, authorised, closed,
            partially refunded, partially returned, partially paid, partially cancelled, partially
            canceled, refund requested, return requested, return in progress, refund pending,
            cancellation requested, cancel requested, payment review, in review, under review,
            review, disputed, dispute, backordered, backorder, in progress, processing refund,
            requires capture, requires confirmation, received, submitted, placed, scheduled,
            pending paypal, paypal canceled reversal, manual verification required, return started,
            on backorder, not shipped, nicht versandt""",
        "fr": "en attente, ouvert, en cours, partiellement rembourse",
        "da": "afventer, behandles, under behandling, delvist refunderet",
        "de": "offen, neu, ausstehend, in bearbeitung, wartend, teilweise erstattet",
        "sv": "oppen, avvaktar, vantande",
        "nb": "apen, pa vent",
        "nl": "in behandeling, in de wacht, openstaand",
        "es": "pendiente, en espera, abierto, procesando",
        "it": "in attesa, aperto, in lavorazione, sospeso",
        "pt": "pendente, aguardando, processando",
    },
}  # fmt: skip
# Words of the total of an order, as against that of one of its lines.
_TOTALS = {
    "en": "total, order, grand total, subtotal, ordertotal, invoice",
    "fr": "commande",
    "da": "ordretotal, ordrebelob, totalbelob",
    "de": "gesamt, gesamtbetrag, gesamtpreis, gesamtsumme, rechnungsbetrag, bestellwert, summe",
    "sv": "summa, orderbelopp, ordervarde, totalbelopp",
    "nb": "ordresum, totalsum",
    "nl": "orderbedrag, totaalbedrag, totaal",
    "es": "pedido",
    "it": "totale, ordine",
}
_LINES = {
    "en": "line, item, items, lineitem, position, positions, product, sku, article, unit",
    "fr": "ligne, article",
    "da": "linje, vare",
    "de": "artikel, zeile",
    "sv": "rad",
    "nl": "regel",
    "es": "linea",
    "it": "riga",
    "pt": "linha",
}
_MORE_MONTHS = {"mrz": 3, "maerz": 3, "mae": 3, "mrt": 3, "setiembre": 9, "aou": 8, "desember": 12}
_MORNING = "am, 上午, 午前, 오전, 凌晨, 早上, fm, ap"
_AFTERNOON = "pm, 下午, 午後, 오후, 晚上, em, ip"
# Words beside the parts of a date that say nothing: "3 de mayo", "den 3. maj kl. 10.30", "2024 r.".
FILLERS = ("de", "del", "den", "der", "d", "kl", "klo", "um", "uhr", "at", "of", "le", "el", "il",
           "a", "as", "om", "alle", "ore", "r", "\u0433")  # fmt: skip
# Minutes east of UTC; letters with more than one meaning in use (IST) are left out.
ZONES = {"z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "bst": 60, "west": 60, "cet": 60,
         "met": 60, "cest": 120, "mest": 120, "mez": 60, "mesz": 120, "eet": 120, "eest": 180,
         "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360,
         "pst": -480, "pdt": -420, "jst": 540}  # fmt: skip
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
                          "\u0131": "i"})  # fmt: skip


def fold(text: str) -> str:
    """Write a text without case, accents and special forms of letters.

    Examples
    --------
    >>> fold("BELØB"), fold("Größe"), fold("złoty"), fold("1\u1d49\u02b3 août"), fold("２０２４年")
    ('belob', 'grosse', 'zloty', '1er aout', '2024年')
    """
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    bare = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bare).casefold()


def plain(header: str) -> str:
    """Reduce a header to its words: no accents, no case, no punctuation.

    Examples
    --------
    >>> plain("Kunden_Nr. "), plain("dateCommande"), plain("N° d'Été"), plain("Nº pedido")
    ('kunden nr', 'date commande', 'n d ete', 'n pedido')
    """
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(header))
    return " ".join(re.findall(r"[^\W_]+", fold(re.sub("[°º]", "", split))))


def _listed(table: Mapping[str, str]) -> Iterator[str]:
    """Give the words of a table, as `plain` writes them."""
    for words in table.values():
        yield from map(plain, words.split(","))


HEADERS = {role: tuple(dict.fromkeys(_listed(table))) for role, table in _HEADERS.items()}
PERSONAL = frozenset(_listed(_PERSONAL))
TOTALS, LINES = (
    frozenset(word for words in _listed(table) for word in words.split())
    for table in (_TOTALS, _LINES)
)
STATUSES = {meaning: frozenset(_listed(table)) for meaning, table in _STATUSES.items()}


def is_unspaced(word: str) -> bool:
    """Whether a word is written without spaces to its neighbours, as in Chinese or Japanese."""
    return "\u3040" <= word[:1] <= "\u9fff"


@cache
def month_words() -> dict[str, int]:
    """Give the month of each name, and of each beginning of three letters or more that is clear.

    Examples
    --------
    >>> [month_words().get(word) for word in ("mai", "marts", "sept", "juil", "jui", "mars")]
    [5, 3, 9, 7, None, 3]
    """
    from babel.dates import get_month_names

    names = [(fold(name).strip("."), month) for month, name in _in_all_forms(get_month_names)]
    begun: dict[str, set[int]] = {}
    for name, month in names:
        for size in range(3, len(name)):
            begun.setdefault(name[:size], set()).add(month)
    clear = {word: months.pop() for word, months in begun.items() if len(months) == 1}
    return clear | dict(names) | _MORE_MONTHS


@cache
def weekday_words() -> frozenset[str]:
    """Give the names of weekdays, whole and abbreviated."""
    from babel.dates import get_day_names

    return frozenset(fold(name).strip(".") for _, name in _in_all_forms(get_day_names))


def _in_all_forms(names_of: Callable[..., Mapping[int, str]]) -> Iterable[tuple[int, str]]:
    for language in LANGUAGES:
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                yield from names_of(width, context, language).items()


def half_days() -> dict[str, int]:
    """Give the hours to add for each word of the first or the second half of the day."""
    words = {0: _MORNING, 12: _AFTERNOON}
    return {word.strip(): hours for hours, listed in words.items() for word in listed.split(",")}
