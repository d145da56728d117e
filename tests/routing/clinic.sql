-- A clinic's database: 18 tables with comments, as somebody outside of commerce would connect it.

CREATE TYPE appointment_status AS ENUM ('booked', 'arrived', 'done', 'missed', 'cancelled');
CREATE TYPE shift_kind AS ENUM ('early', 'late', 'night', 'on_call');
CREATE TYPE claim_status AS ENUM ('submitted', 'accepted', 'rejected');

CREATE TABLE wards (
    id integer PRIMARY KEY, name text NOT NULL, floor integer NOT NULL);
COMMENT ON TABLE wards IS 'Wards of the clinic';

CREATE TABLE beds (
    id integer PRIMARY KEY, ward_id integer NOT NULL REFERENCES wards (id), label text NOT NULL, is_occupied boolean NOT NULL);
COMMENT ON TABLE beds IS 'Beds of each ward, free or occupied';

CREATE TABLE staff (
    id integer PRIMARY KEY, ward_id integer REFERENCES wards (id), full_name text NOT NULL, role text NOT NULL, specialty text);
COMMENT ON TABLE staff IS 'Doctors, nurses and other people who work in the clinic';
COMMENT ON COLUMN staff.role IS 'doctor, nurse or assistant';

CREATE TABLE shifts (
    id integer PRIMARY KEY, staff_id integer NOT NULL REFERENCES staff (id), kind shift_kind NOT NULL, starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL);
COMMENT ON TABLE shifts IS 'Who is on duty when';

CREATE TABLE insurers (
    id integer PRIMARY KEY, name text NOT NULL);
COMMENT ON TABLE insurers IS 'Health insurance companies';

CREATE TABLE patients (
    id integer PRIMARY KEY, insurer_id integer REFERENCES insurers (id), first_name text NOT NULL, last_name text NOT NULL,
    born_on date NOT NULL, sex char(1) NOT NULL, city text, phone text);
COMMENT ON TABLE patients IS 'People who are or were treated';

CREATE TABLE allergies (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), substance text NOT NULL, severity text NOT NULL);
COMMENT ON TABLE allergies IS 'Known allergies of patients';

CREATE TABLE appointments (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), staff_id integer NOT NULL REFERENCES staff (id),
    starts_at timestamptz NOT NULL, reason text, status appointment_status NOT NULL);
COMMENT ON TABLE appointments IS 'Consultations in the outpatient department';

CREATE TABLE admissions (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), bed_id integer REFERENCES beds (id),
    admitted_on date NOT NULL, discharged_on date);
COMMENT ON TABLE admissions IS 'Stays of inpatients';
COMMENT ON COLUMN admissions.discharged_on IS 'Null while the patient is in the clinic';

CREATE TABLE diagnoses (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), icd_code text NOT NULL, name text NOT NULL,
    diagnosed_on date NOT NULL);
COMMENT ON TABLE diagnoses IS 'Illnesses found, with their ICD-10 codes';

CREATE TABLE medications (
    id integer PRIMARY KEY, name text NOT NULL, form text NOT NULL, stock integer NOT NULL);
COMMENT ON TABLE medications IS 'Drugs that the pharmacy keeps';

CREATE TABLE prescriptions (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id),
    medication_id integer NOT NULL REFERENCES medications (id), prescribed_by integer NOT NULL REFERENCES staff (id),
    dose text NOT NULL, starts_on date NOT NULL, ends_on date);
COMMENT ON TABLE prescriptions IS 'What a patient has to take, and how much of it';

CREATE TABLE lab_tests (
    id integer PRIMARY KEY, name text NOT NULL, unit text NOT NULL, normal_from numeric(8, 2), normal_to numeric(8, 2));
COMMENT ON TABLE lab_tests IS 'Tests of the laboratory and their normal range';

CREATE TABLE lab_results (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), lab_test_id integer NOT NULL REFERENCES lab_tests (id),
    taken_on date NOT NULL, value numeric(8, 2));
COMMENT ON COLUMN lab_results.value IS 'Null while the laboratory works on it';

CREATE TABLE operating_rooms (
    id integer PRIMARY KEY, name text NOT NULL);

CREATE TABLE surgeries (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), surgeon_id integer NOT NULL REFERENCES staff (id),
    operating_room_id integer NOT NULL REFERENCES operating_rooms (id), procedure text NOT NULL, planned_for timestamptz NOT NULL,
    minutes integer);
COMMENT ON TABLE surgeries IS 'Operations, planned and done';

CREATE TABLE vaccinations (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), vaccine text NOT NULL, given_on date NOT NULL);
COMMENT ON TABLE vaccinations IS 'Vaccines that patients were given';

CREATE TABLE claims (
    id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patients (id), insurer_id integer NOT NULL REFERENCES insurers (id),
    amount numeric(10, 2) NOT NULL, submitted_on date NOT NULL, status claim_status NOT NULL);
COMMENT ON TABLE claims IS 'Treatment costs that insurers are asked to pay';

INSERT INTO wards VALUES (1, 'Cardiology', 2), (2, 'Intensive care', 1), (3, 'Paediatrics', 3);
INSERT INTO beds VALUES (1, 1, 'C1', true), (2, 1, 'C2', false), (3, 2, 'I1', true);
INSERT INTO staff VALUES
    (1, 1, 'Petra Novak', 'doctor', 'cardiology'), (2, 2, 'Luis Ortega', 'nurse', NULL), (3, 3, 'Marie Blanc', 'doctor', 'paediatrics');
INSERT INTO shifts VALUES
    (1, 1, 'early', '2026-12-01 06:00+00', '2026-12-01 14:00+00'), (2, 2, 'night', '2026-12-01 22:00+00', '2026-12-02 06:00+00');
INSERT INTO insurers VALUES (1, 'Sana Health'), (2, 'Mutua Sur');
INSERT INTO patients VALUES
    (1, 1, 'Greta', 'Keller', '1951-04-02', 'f', 'Ulm', NULL), (2, 2, 'Paul', 'Roy', '1984-09-12', 'm', 'Lyon', NULL);
INSERT INTO allergies VALUES (1, 1, 'Penicillin', 'severe'), (2, 2, 'Nuts', 'mild');
INSERT INTO appointments VALUES
    (1, 2, 1, '2026-12-02 09:00+00', 'Check-up', 'booked'), (2, 1, 1, '2026-11-20 10:00+00', 'Chest pain', 'cancelled');
INSERT INTO admissions VALUES (1, 1, 1, '2026-11-25', NULL), (2, 2, 3, '2026-10-01', '2026-10-05');
INSERT INTO diagnoses VALUES (1, 1, 'I10', 'Hypertension', '2020-01-15'), (2, 2, 'E11', 'Type 2 diabetes', '2019-06-01');
INSERT INTO medications VALUES (1, 'Warfarin', 'tablet', 400), (2, 'Metformin', 'tablet', 900), (3, 'Ibuprofen', 'tablet', 1200);
INSERT INTO prescriptions VALUES (1, 1, 1, 1, '5 mg daily', '2026-11-25', NULL), (2, 2, 2, 1, '500 mg twice a day', '2026-01-01', NULL);
INSERT INTO lab_tests VALUES (1, 'Haemoglobin', 'g/dl', 12, 17), (2, 'HbA1c', '%', 4, 6);
INSERT INTO lab_results VALUES (1, 1, 1, '2026-11-25', 11.2), (2, 2, 2, '2026-11-30', NULL);
INSERT INTO operating_rooms VALUES (1, 'OR 1'), (2, 'OR 2');
INSERT INTO surgeries VALUES (1, 1, 1, 1, 'Pacemaker', '2026-12-03 08:00+00', NULL);
INSERT INTO vaccinations VALUES (1, 1, 'Influenza', '2026-10-10');
INSERT INTO claims VALUES (1, 1, 1, 2400, '2026-11-30', 'submitted'), (2, 2, 2, 310, '2026-10-10', 'rejected');
ANALYZE;
