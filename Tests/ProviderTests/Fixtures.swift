// The samples of the two vendor pages that the project began with, as they stand there.

enum Fixtures {
  /// VinID: reply of `POST /oauth2/token`.
  static let vinidReply = """
    {
        "access_token": "string",
        "expires_in": 3600,
        "id_token": "string",
        "refresh_token": "string",
        "scope": "openid offline some_scope",
        "token_type": "bearer"
    }
    """

  /// MISA: `RefreshParam` as application/json.
  static let misaRequestJSON = """
    {
      "CompanyCode": "sample string 1",
      "RefreshToken": "sample string 2"
    }
    """

  /// MISA: `RefreshParam` as application/xml.
  static let misaRequestXML = """
    <RefreshParam xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.datacontract.org/2004/07/MISA.QLNH.BE.BO">
      <CompanyCode>sample string 1</CompanyCode>
      <RefreshToken>sample string 2</RefreshToken>
    </RefreshParam>
    """

  /// MISA: reply as application/json.
  static let misaReplyJSON = """
    {
      "Data": {
        "AppID": "sample string 1",
        "Access_Token": "sample string 2",
        "Token_type": "sample string 3",
        "Expire_Date": "2025-06-25T18:44:15.6186183+07:00",
        "Branchs": [
          {
            "BranchID": "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab",
            "BranchCode": "sample string 2",
            "BranchName": "sample string 3",
            "Address": "sample string 4",
            "Tel": "sample string 5",
            "Country": "sample string 6",
            "ProvinceOrCity": "sample string 7",
            "District": "sample string 8",
            "WardOrCommune": "sample string 9",
            "Street": "sample string 10",
            "TaxCode": "sample string 11",
            "TimeZoneCode": "sample string 12",
            "PostalCode": "sample string 13"
          },
          {
            "BranchID": "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab",
            "BranchCode": "sample string 2",
            "BranchName": "sample string 3",
            "Address": "sample string 4",
            "Tel": "sample string 5",
            "Country": "sample string 6",
            "ProvinceOrCity": "sample string 7",
            "District": "sample string 8",
            "WardOrCommune": "sample string 9",
            "Street": "sample string 10",
            "TaxCode": "sample string 11",
            "TimeZoneCode": "sample string 12",
            "PostalCode": "sample string 13"
          }
        ],
        "MainCurrency": "sample string 5",
        "RequestTimeout": 6,
        "RefreshToken": "sample string 7",
        "ListDictionarySeperate": "sample string 8",
        "IsNotExistBankAccountNumber": true
      },
      "Success": true,
      "ErrorMessage": "sample string 2",
      "ErrorType": 0,
      "Total": 3
    }
    """

  /// MISA: reply as text/html; its date has six digits.
  static let misaReplyHTML = """
    {
      "Data": {
        "AppID": "sample string 1",
        "Access_Token": "sample string 2",
        "Token_type": "sample string 3",
        "Expire_Date": "2025-06-25T18:44:15.618329+07:00",
        "Branchs": [
          {
            "BranchID": "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab",
            "BranchCode": "sample string 2",
            "BranchName": "sample string 3",
            "Address": "sample string 4",
            "Tel": "sample string 5",
            "Country": "sample string 6",
            "ProvinceOrCity": "sample string 7",
            "District": "sample string 8",
            "WardOrCommune": "sample string 9",
            "Street": "sample string 10",
            "TaxCode": "sample string 11",
            "TimeZoneCode": "sample string 12",
            "PostalCode": "sample string 13"
          },
          {
            "BranchID": "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab",
            "BranchCode": "sample string 2",
            "BranchName": "sample string 3",
            "Address": "sample string 4",
            "Tel": "sample string 5",
            "Country": "sample string 6",
            "ProvinceOrCity": "sample string 7",
            "District": "sample string 8",
            "WardOrCommune": "sample string 9",
            "Street": "sample string 10",
            "TaxCode": "sample string 11",
            "TimeZoneCode": "sample string 12",
            "PostalCode": "sample string 13"
          }
        ],
        "MainCurrency": "sample string 5",
        "RequestTimeout": 6,
        "RefreshToken": "sample string 7",
        "ListDictionarySeperate": "sample string 8",
        "IsNotExistBankAccountNumber": true
      },
      "Success": true,
      "ErrorMessage": "sample string 2",
      "ErrorType": 0,
      "Total": 3
    }
    """

  /// MISA: reply as application/xml.
  static let misaReplyXML = """
    <GraphAPIResultOfLoginV2ResultHwd4PmMc xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.datacontract.org/2004/07/MISA.QLNH.BE.BO">
      <ActionType>Login</ActionType>
      <Data>
        <Access_Token>sample string 2</Access_Token>
        <AppID>sample string 1</AppID>
        <Branchs>
          <BranchResult>
            <Address>sample string 4</Address>
            <BranchCode>sample string 2</BranchCode>
            <BranchID>b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab</BranchID>
            <BranchName>sample string 3</BranchName>
            <Country>sample string 6</Country>
            <District>sample string 8</District>
            <PostalCode>sample string 13</PostalCode>
            <ProvinceOrCity>sample string 7</ProvinceOrCity>
            <Street>sample string 10</Street>
            <TaxCode>sample string 11</TaxCode>
            <Tel>sample string 5</Tel>
            <TimeZoneCode>sample string 12</TimeZoneCode>
            <WardOrCommune>sample string 9</WardOrCommune>
          </BranchResult>
          <BranchResult>
            <Address>sample string 4</Address>
            <BranchCode>sample string 2</BranchCode>
            <BranchID>b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab</BranchID>
            <BranchName>sample string 3</BranchName>
            <Country>sample string 6</Country>
            <District>sample string 8</District>
            <PostalCode>sample string 13</PostalCode>
            <ProvinceOrCity>sample string 7</ProvinceOrCity>
            <Street>sample string 10</Street>
            <TaxCode>sample string 11</TaxCode>
            <Tel>sample string 5</Tel>
            <TimeZoneCode>sample string 12</TimeZoneCode>
            <WardOrCommune>sample string 9</WardOrCommune>
          </BranchResult>
        </Branchs>
        <Expire_Date>2025-06-25T18:44:15.618329+07:00</Expire_Date>
        <IsNotExistBankAccountNumber>true</IsNotExistBankAccountNumber>
        <ListDictionarySeperate>sample string 8</ListDictionarySeperate>
        <MainCurrency>sample string 5</MainCurrency>
        <RefreshToken>sample string 7</RefreshToken>
        <RequestTimeout>6</RequestTimeout>
        <Token_type>sample string 3</Token_type>
      </Data>
      <ErrorMessage>sample string 2</ErrorMessage>
      <ErrorType>None</ErrorType>
      <Success>true</Success>
      <Total>3</Total>
    </GraphAPIResultOfLoginV2ResultHwd4PmMc>
    """
}
