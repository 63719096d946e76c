// Where time is odd: zones, and months in which something happens to their days.
import type { Month } from '../support/naive/history.ts'

/** A zone, and months worth visiting there. */
export type Place = readonly [zone: string, ...months: Month[]]

export const PLACES: readonly Place[] = [
  ['UTC', '2027-02', '2100-02'],
  ['UTC', '2028-02', '2000-02'],
  // Clocks go back from 00:01: the date that has ended returns, in 2009 over the end of a month.
  ['America/St_Johns', '2009-10', '2009-11', '2010-11', '2008-11'],
  ['Antarctica/Casey', '2010-03', '2009-10', '2020-10'],
  // A first of the month without midnight.
  ['Asia/Karachi', '2008-06', '2008-05'],
  ['America/Asuncion', '2017-10', '2023-10', '2024-03'],
  ['America/Havana', '2012-04', '2026-03', '2015-11'],
  // Midnight of the first comes twice: the hour before it is lived again.
  ['Asia/Almaty', '2024-02', '2024-03'],
  ['Africa/Juba', '2021-01', '2021-02'],
  ['Africa/Khartoum', '2017-10', '2017-11'],
  ['Asia/Dhaka', '2009-12', '2009-06'],
  ['Asia/Damascus', '2008-10', '2008-04', '2008-11'],
  // Clocks change at midnight.
  ['America/Sao_Paulo', '2018-02', '2018-11', '2017-10'],
  ['America/Santiago', '2026-04', '2026-09', '2022-09'],
  ['America/Scoresbysund', '2023-03', '2024-03', '2024-10'],
  ['America/Nuuk', '2023-03', '2024-10'],
  ['Africa/Cairo', '2023-04', '2023-10', '2026-04', '2014-09'],
  ['Asia/Amman', '2021-03', '2021-10'],
  ['Asia/Beirut', '2026-03', '2026-10'],
  ['Asia/Pyongyang', '2015-08', '2018-05'],
  ['Asia/Tehran', '2021-03', '2021-09', '2022-03'],
  ['Atlantic/Azores', '2026-03', '2026-10'],
  // Clocks change at another hour, by an hour, half an hour or two.
  ['Africa/Casablanca', '2026-02', '2026-03', '2018-10'],
  ['Africa/Sao_Tome', '2018-01', '2019-01'],
  ['Africa/Windhoek', '2017-04', '2017-09'],
  ['America/Caracas', '2016-05', '2016-04'],
  ['America/Los_Angeles', '2027-03', '2027-11'],
  ['America/Mexico_City', '2022-04', '2022-10'],
  ['America/New_York', '2026-03', '2026-11', '2028-02'],
  ['Antarctica/Troll', '2026-03', '2026-10'],
  ['Australia/Adelaide', '2026-04', '2026-10'],
  ['Australia/Lord_Howe', '2026-04', '2026-10'],
  ['Europe/Berlin', '2026-03', '2026-10', '2028-02'],
  ['Europe/Istanbul', '2015-11', '2016-03'],
  ['Europe/London', '2026-03', '2026-10'],
  ['Europe/Moscow', '2011-03', '2014-10'],
  ['Pacific/Apia', '2012-09', '2021-04'],
  ['Pacific/Auckland', '2026-04', '2026-09'],
  ['Pacific/Chatham', '2026-04', '2026-09'],
  ['Pacific/Fiji', '2020-12', '2021-01'],
  ['Pacific/Tongatapu', '2016-11', '2017-01'],
  // Far ahead, far behind, and between the hours.
  ['Asia/Kathmandu', '2028-02', '2026-11'],
  ['Asia/Kolkata', '2027-02', '2026-12'],
  ['Asia/Yangon', '2026-09', '2027-02'],
  ['Australia/Eucla', '2028-02', '2026-06'],
  ['Etc/GMT+12', '2027-02', '2026-12'],
  ['Pacific/Kiritimati', '2026-12', '2028-02'],
  ['Pacific/Marquesas', '2027-02', '2026-08'],
  ['Pacific/Pago_Pago', '2028-02', '2026-07'],
]
